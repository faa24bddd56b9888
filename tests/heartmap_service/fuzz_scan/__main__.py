"""``python -m tests.heartmap_service.fuzz_scan --seconds N``: fuzz the scan of uploaded files with atheris.

It begins with small files that pass and with what was found before (``corpus/``); inputs that lead to new code are kept in
``.local/fuzz/scan`` or the directory of ``--keep``. Half of the changes are to bytes, half to what the file holds.

HDF5 is a library in C, and files can make it crash or run on, some of them only now and then. That ends the fuzzer, as it would
end the sandbox's child and nothing else: it is counted, the file is kept as ``contained-...``, and the fuzzer starts again. An
exception that comes out of the scan, or an answer that does not hold, stops it: the file is kept as ``scanned.h5ad``, the
exception as ``raised.txt``, and the exit status is 77.
"""

import argparse
import contextlib
import hashlib
import io
import random
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import atheris
import h5py
import numpy as np

CORPUS = Path(__file__).with_name("corpus")
MAX_BYTES = 96 * 1024
FOUND = 77
RSS_MIB = 2560
SCANNED, RAISED = "scanned.h5ad", "raised.txt"
"""In the directory of ``--keep``: what is being scanned, and the exception that came out of it."""
_SOUND: set[int] = set()
"""Hashes of the files that are whole: the seeds, and what came of them through h5py alone."""
_MODULE = "tests.heartmap_service.fuzz_scan"
_NUMBERS = (0, 1, 2, 7, 8, 41, 42, 127, 128, 255, 256, 65_535, 1 << 31, (1 << 32) - 1, 1 << 63, (1 << 64) - 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, required=True)
    parser.add_argument("--keep", type=Path, default=Path(".local/fuzz/scan"), help="a directory for what leads to new code")
    parser.add_argument("--seed", type=int, default=0, help="of the fuzzer's own choices; 0 for another one each time")
    parser.add_argument("--within", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.keep.mkdir(parents=True, exist_ok=True)
    if options.within:
        fuzz(options.seconds, options.keep, options.seed)
    else:
        sys.exit(supervise(options.seconds, options.keep, options.seed))


def supervise(seconds: int, keep: Path, seed: int) -> int:
    """Runs the fuzzer until the time is over or something is found; its exit status."""
    end = time.monotonic() + seconds
    contained = 0
    scanned, raised = keep / SCANNED, keep / RAISED
    while (left := int(end - time.monotonic())) > 0:
        scanned.unlink(missing_ok=True)
        raised.unlink(missing_ok=True)
        command = [sys.executable, "-m", _MODULE, "--within", "--seconds", str(left), "--keep", str(keep), "--seed", str(seed)]
        before = set(keep.glob("*-*"))
        status = subprocess.run(command, check=False).returncode
        if status == 0:
            break
        # libFuzzer keeps a file for most ends of it, and for none by the scan's own limit of processor time (SIGXCPU).
        new = sorted(set(keep.glob("*-*")) - before)
        if raised.exists() or not (new or status < 0) or any(path.name.startswith("oom-") and _is_greedy(path) for path in new):
            return FOUND
        for path in new:
            path.unlink()
        # None between two scans, when files are changed: that is done by HDF5 too.
        if scanned.exists():
            scanned.rename(keep / f"contained-{hashlib.sha256(scanned.read_bytes()).hexdigest()[:16]}")
        contained += 1
        seed += 1
    sys.stderr.write(f"contained crashes of HDF5: {contained}\n")
    return 0


def _is_greedy(path: Path) -> bool:
    """Whether the scan of a file alone takes more memory than the fuzzer had for all of them: what HDF5 loses adds up there."""
    program = (
        "import pathlib, resource, sys; from tests.heartmap_service.fuzz_scan.targets import scanned; "
        "scanned(pathlib.Path(sys.argv[1]).read_bytes(), pathlib.Path(sys.argv[2])); "
        f"sys.exit(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss > {RSS_MIB} * 1024)"
    )
    with tempfile.TemporaryDirectory() as directory:
        command = [sys.executable, "-W", "ignore", "-c", program, str(path), f"{directory}/input"]
        return subprocess.run(command, check=False, capture_output=True).returncode > 0


def fuzz(seconds: int, keep: Path, seed: int) -> None:
    """Does not return."""
    # What the fuzzer is to see the inside of is imported under its eyes.
    with atheris.instrument_imports(include=["heartmap_service"]):  # pyright: ignore[reportAttributeAccessIssue]
        from tests.heartmap_service.fuzz_scan import targets
    inputs = keep / "inputs"
    inputs.mkdir(exist_ok=True)
    for name, body in targets.seeds().items():
        (inputs / name).write_bytes(body)
        _SOUND.add(hash(body))
    path = keep / SCANNED

    def target(data: bytes) -> None:
        try:
            targets.scanned(data, path)
        except BaseException:
            (keep / RAISED).write_text(traceback.format_exc(), encoding="utf-8")
            raise
        path.unlink()

    argv = [
        sys.argv[0],
        f"-max_total_time={seconds}",
        f"-max_len={MAX_BYTES}",
        f"-artifact_prefix={keep}/",
        f"-seed={seed}",
        "-print_final_stats=1",
        "-timeout=20",
        f"-rss_limit_mb={RSS_MIB}",
        # Nothing shorter than the seeds is of interest at first.
        "-len_control=0",
        str(inputs),
        str(CORPUS),
    ]
    atheris.Setup(argv, target, internal_libfuzzer=True, custom_mutator=mutate)
    atheris.Fuzz()


def mutate(data: bytes, max_size: int, seed: int) -> bytes:
    """A file with a few bytes changed, or with one of its objects."""
    chance = random.Random(seed)  # noqa: S311  # no secret
    # With objects only where no bytes were changed before: it is done by the library that the changes are to break.
    if chance.random() < 0.5 and hash(data) in _SOUND:
        changed = _object_changed(data, chance)
        _SOUND.add(hash(changed))
    else:
        changed = _bytes_changed(data, chance)
    return changed if len(changed) <= max_size else data[:max_size]


def _bytes_changed(data: bytes, chance: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        # Where something is: most of a small file is room to grow.
        used = [place for place in (chance.randrange(len(changed)) for _ in range(40)) if changed[place]] if changed else []
        place = used[0] if used else 0
        size = chance.choice((1, 1, 2, 4, 8))
        match chance.randrange(4):
            case 0:
                new = (chance.choice(_NUMBERS) % (1 << (8 * size))).to_bytes(size, "little")
            case 1:
                new = bytes(byte ^ (1 << chance.randrange(8)) for byte in changed[place : place + size])
            case 2:
                source = chance.randrange(max(1, len(changed)))
                new = bytes(changed[source : source + 8])
            case _:
                value = int.from_bytes(changed[place : place + size], "little") + chance.choice((-1, 1, 8, -8))
                new = (value % (1 << (8 * size))).to_bytes(size, "little")
        changed[place : place + len(new)] = new
    return bytes(changed)


def _object_changed(data: bytes, chance: random.Random) -> bytes:
    stream = io.BytesIO(data)
    # Many changes do not apply to the object that they meet.
    with contextlib.suppress(Exception), h5py.File(stream, "r+", locking=False) as file:
        paths: list[str] = []
        file.visit(paths.append)
        chance.choice(_CHANGES)(file, chance.choice(paths), chance.choice(paths), chance)
    return stream.getvalue()


def _delete(file: Any, path: str, _other: str, _chance: random.Random) -> None:
    del file[path]


def _move(file: Any, path: str, other: str, _chance: random.Random) -> None:
    del file[path]
    file.move(other, path)


def _link(file: Any, path: str, other: str, chance: random.Random) -> None:
    del file[path]
    file[path] = chance.choice((file[other], h5py.SoftLink(f"/{other}"), h5py.ExternalLink("other.h5", "/")))


def _attribute(file: Any, path: str, other: str, chance: random.Random) -> None:
    names = ("encoding-type", "encoding-version", "_index", "column-order", "shape", "ordered", "categories", "h5sparse_format")
    texts = (
        "",
        "csr_matrix",
        "csc",
        "dataframe",
        "array",
        "string-array",
        "categorical",
        "0.1.0",
        "0.2.0",
        "kind",
        "_index",
        other,
    )
    values: tuple[Any, ...] = (
        chance.choice(texts),
        [chance.choice(texts), chance.choice(texts)],
        chance.choice(_NUMBERS),
        np.array([41, 41]),
        np.array([[41]]),
        np.array([]),
        1.5,
        h5py.Empty("f4"),
        file[other].ref,
    )
    file[path].attrs[chance.choice(names)] = chance.choice(values)


def _attribute_gone(file: Any, path: str, _other: str, chance: random.Random) -> None:
    del file[path].attrs[chance.choice(list(file[path].attrs))]


def _values(file: Any, path: str, _other: str, chance: random.Random) -> None:
    data = file[path]
    place = tuple(chance.randrange(length) for length in data.shape)
    data[place] = chance.choice((-1, 0, 40, 41, 1 << 31, np.nan, np.inf, -0.5, "", "\0", b"\xff"))


def _kind(file: Any, path: str, _other: str, chance: random.Random) -> None:
    data = file[path][()]
    attributes = {name: file[path].attrs[name] for name in file[path].attrs}
    del file[path]
    kind = chance.choice(("i1", "u8", ">f4", "f2", "f8", "c8", "S3", "?", "O"))
    changed = np.asarray(data).astype(kind)
    shape = chance.choice((changed.shape, (changed.size,), (1, changed.size), (changed.size, 1)))
    new = file.create_dataset(path, data=changed.reshape(shape), dtype=h5py.string_dtype() if kind == "O" else None)
    new.attrs.update(attributes)


def _chunk(file: Any, path: str, _other: str, chance: random.Random) -> None:
    data = file[path].id
    place = data.get_chunk_info(chance.randrange(data.get_num_chunks()))
    mask, stored = data.read_direct_chunk(place.chunk_offset)
    data.write_direct_chunk(place.chunk_offset, _bytes_changed(stored[: chance.choice((1, 8, len(stored)))], chance), mask)


def _shape(file: Any, path: str, _other: str, chance: random.Random) -> None:
    shape = chance.choice(((), (0,), (1 << 40,), (41, 0), (1 << 33, 1 << 33), (41, 41), (2, 3, 4)))
    attributes = {name: file[path].attrs[name] for name in file[path].attrs}
    del file[path]
    chunks = tuple(min(4, length or 1) for length in shape) if shape and chance.random() < 0.7 and 0 not in shape else None
    file.create_dataset(path, shape=shape, dtype="f4", chunks=chunks).attrs.update(attributes)


_CHANGES: tuple[Callable[[Any, str, str, random.Random], None], ...] = (
    _delete,
    _move,
    _link,
    _attribute,
    _attribute,
    _attribute_gone,
    _values,
    _values,
    _kind,
    _chunk,
    _shape,
)


if __name__ == "__main__":
    main()
