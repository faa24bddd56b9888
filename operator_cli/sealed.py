"""Where seals and their records are read from: the service, or a copy of the audit bucket in a directory."""

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from pydantic import BaseModel

from lambda_sealing.seals import DIGITS, MOST_BYTES, MOST_SEAL_BYTES, PREFIX, RecordsFile, sequence_of
from operator_cli.api import Api
from operator_cli.errors import WrongUse
from operator_cli.storage import Storage

PAGE = 50


class Source(Protocol):
    """Seals by their sequences."""

    def sequences(self, first: int) -> Iterator[int]:
        """The sequences that are there, from this one on, in order."""
        ...

    def latest(self) -> int:
        """The last of them, 0 when there is none."""
        ...

    def seal(self, sequence: int) -> bytes:
        """A seal's file, of one that is there."""
        ...

    def records(self, sequence: int, file: RecordsFile) -> bytes | None:
        """The records of a seal; None when they are not there."""
        ...


class Directory:
    """A copy of the bucket's part for the seals, with or without its name in front."""

    def __init__(self, directory: Path) -> None:
        inside = directory / PREFIX
        self._root = inside if inside.is_dir() else directory
        self._seals = self._root / "seals"
        if not self._seals.is_dir():
            raise WrongUse(
                f"{directory} has no directory seals.",
                next_step=f"Copy the seals first: aws s3 sync s3://BUCKET/{PREFIX} {directory}",
            )
        found = (sequence_of("", path.name) for path in self._seals.iterdir())
        self._sequences = sorted(number for number in found if number is not None)

    def sequences(self, first: int) -> Iterator[int]:
        return (number for number in self._sequences if number >= first)

    def latest(self) -> int:
        return self._sequences[-1] if self._sequences else 0

    def seal(self, sequence: int) -> bytes:
        with (self._seals / f"{sequence:0{DIGITS}}.json").open("rb") as stream:
            return stream.read(MOST_SEAL_BYTES)

    def records(self, sequence: int, file: RecordsFile) -> bytes | None:
        # The name stands in a seal that may be anybody's: it is a name, and no path.
        path = self._root / "records" / Path(file.name).name
        # One that somebody changed has another hash, so that its name may be another too.
        others = sorted((self._root / "records").glob(f"{sequence:0{DIGITS}}-*.jsonl.gz"))
        found = path if path.is_file() else others[0] if others else None
        if found is None:
            return None
        with found.open("rb") as stream:
            return stream.read(MOST_BYTES)


class _Address(BaseModel):
    sequence: int
    url: str
    records: dict[str, str]


class Page(BaseModel):
    """What the service says of the seals; times are in milliseconds since the epoch."""

    seals: list[_Address]
    public_key: str
    kept_since: int
    latest: int | None = None


class Service:
    """What the service has, through addresses that are asked for page by page: they do not hold for long."""

    def __init__(self, api: Api, storage: Storage) -> None:
        self._api = api
        self._storage = storage
        self._known: dict[int, _Address] = {}
        self.first = self._api.call("GET", "/audit/seals?limit=1", Page)

    def sequences(self, first: int) -> Iterator[int]:
        after = max(first - 1, 0)
        while page := self._page(after):
            yield from page
            after = page[-1]

    def latest(self) -> int:
        return self.first.latest or 0

    def seal(self, sequence: int) -> bytes:
        return self._storage.content(self._address(sequence).url, MOST_SEAL_BYTES)

    def records(self, sequence: int, file: RecordsFile) -> bytes | None:
        addresses = self._address(sequence).records
        url = addresses.get(file.name) or next(iter(addresses.values()), None)
        return None if url is None else self._storage.content(url, MOST_BYTES)

    def _page(self, after: int, limit: int = PAGE) -> list[int]:
        page = self._api.call("GET", f"/audit/seals?after={after}&limit={limit}", Page)
        self._known = {each.sequence: each for each in page.seals}
        return list(self._known)

    def _address(self, sequence: int) -> _Address:
        if sequence not in self._known:
            self._page(sequence - 1, 1)
        return self._known[sequence]
