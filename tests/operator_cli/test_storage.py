import hashlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from operator_cli.answers import ResultFile
from operator_cli.environments import Environment
from operator_cli.errors import CliError
from operator_cli.storage import Storage, safe_name
from operator_cli.vocabulary import EnvironmentName

CONTENT = b"figure" * 100_000


def nothing(_: float) -> None:
    pass


@pytest.fixture
def out(tmp_path: Path) -> Path:
    directory = tmp_path / "out"
    directory.mkdir()
    return directory


def described(content: bytes = CONTENT, **changes: Any) -> ResultFile:
    digest = hashlib.sha256(content).hexdigest()
    return ResultFile(**{"name": "umap.png", "bytes": len(content), "sha256": digest, "url": "http://127.0.0.1:1/x", **changes})


@pytest.fixture
def over(environment: Environment) -> Callable[..., Storage]:
    def make(*answers: httpx.Response | Exception | Callable[[], httpx.Response]) -> Storage:
        left = list(answers)

        def wire(request: httpx.Request) -> httpx.Response:
            request.read()
            answer = left.pop(0) if len(left) > 1 else left[0]
            if isinstance(answer, Exception):
                raise answer
            return answer if isinstance(answer, httpx.Response) else answer()

        return Storage(environment, httpx.Client(transport=httpx.MockTransport(wire)), sleep=nothing)

    return make


def sent(content: bytes = CONTENT) -> httpx.Response:
    return httpx.Response(200, content=content)


def test_a_result_is_what_was_announced(over: Any, out: Path) -> None:
    steps: list[int] = []
    assert over(sent()).fetch(described(), out, steps.append) == out / "umap.png"
    assert (out / "umap.png").read_bytes() == CONTENT
    assert steps == sorted(steps)
    assert steps[-1] == len(CONTENT)


@pytest.mark.parametrize(
    "content", [CONTENT[:-1], CONTENT + b"x", CONTENT[:-1] + b"x", b""], ids=["shorter", "longer", "other", "empty"]
)
def test_what_is_not_what_was_announced_is_removed(over: Any, out: Path, content: bytes) -> None:
    with pytest.raises(CliError, match="SHA-256") as failed:
        over(sent(content)).fetch(described(), out, nothing)
    assert failed.value.code == "checksum_mismatch"
    assert list(out.iterdir()) == []


def test_an_older_file_stays_when_its_successor_is_wrong(over: Any, out: Path) -> None:
    (out / "umap.png").write_bytes(b"older")
    with pytest.raises(CliError):
        over(sent(b"wrong")).fetch(described(), out, nothing)
    assert (out / "umap.png").read_bytes() == b"older"


def test_more_than_was_announced_is_not_written_to_the_disk(over: Any, out: Path, monkeypatch: Any) -> None:
    written: list[int] = []

    def endless() -> Any:
        while True:
            yield b"x" * 1000

    with pytest.raises(CliError, match="SHA-256"):
        over(httpx.Response(200, content=endless())).fetch(described(b"x" * 5000), out, written.append)
    assert max(written, default=0) <= 5000


def test_a_broken_connection_is_tried_again_from_the_start(over: Any, out: Path) -> None:
    storage = over(httpx.ReadError("reset"), httpx.Response(503), sent())
    storage.fetch(described(), out, nothing)
    assert (out / "umap.png").read_bytes() == CONTENT


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left on device"), httpx.ReadError("reset")])
def test_nothing_half_finished_is_left_behind(over: Any, out: Path, error: BaseException) -> None:
    def breaks() -> Any:
        yield CONTENT[:300_000]
        raise error

    with pytest.raises((CliError, KeyboardInterrupt)):
        over(lambda: httpx.Response(200, content=breaks())).fetch(described(), out, nothing)
    assert list(out.iterdir()) == []


@pytest.mark.parametrize(
    "name",
    [
        "../x",
        "..",
        ".",
        "",
        "/etc/passwd",
        "a/b",
        "a\\b",
        ".bashrc",
        "-rf",
        "a\0b",
        "a\nb",
        "C:x",
        "x" * 200,
        "umap.png\n",
        "ä.png",
        "%2e%2e%2fx",
        "~",
        "a b",
    ],
)
def test_a_name_that_is_not_a_plain_file_name_is_refused(over: Any, out: Path, name: str) -> None:
    with pytest.raises(CliError, match="not a plain file name"):
        safe_name(name)
    inside = out / "inside"
    inside.mkdir()
    with pytest.raises(CliError):
        over(sent()).fetch(described(name=name), inside, nothing)
    assert [each for each in out.rglob("*") if each != inside] == []


def test_a_link_in_the_output_directory_is_replaced_not_followed(over: Any, out: Path) -> None:
    inside, outside = out / "inside", out / "outside"
    inside.mkdir()
    outside.write_bytes(b"precious")
    (inside / "umap.png").symlink_to(outside)
    over(sent()).fetch(described(), inside, nothing)
    assert outside.read_bytes() == b"precious"
    assert (inside / "umap.png").read_bytes() == CONTENT


def test_a_directory_in_the_way_is_told(over: Any, out: Path) -> None:
    (out / "umap.png").mkdir()
    with pytest.raises(CliError, match="is a directory"):
        over(sent()).fetch(described(), out, nothing)


@pytest.mark.parametrize(
    "url", ["", "http://evil.example/x", "file:///etc/passwd", "ftp://127.0.0.1/x", "https://", "http://127.0.0.1.evil.example/"]
)
def test_an_address_that_is_not_safe_is_not_called(over: Any, out: Path, url: str) -> None:
    storage = over(httpx.ConnectError("called"))
    for call in (
        lambda: storage.fetch(described(url=url), out, nothing),
        lambda: storage.post(url, {}, io.BytesIO(b"x"), 1, nothing),
        lambda: storage.put(url, io.BytesIO(b"x"), 0, 1, nothing),
    ):
        with pytest.raises(CliError, match="not safe to use"):
            call()


def test_plain_http_is_for_the_local_environment_alone(environment: Environment, out: Path) -> None:
    dev = environment.model_copy(update={"name": EnvironmentName.DEV})
    storage = Storage(dev, httpx.Client(transport=httpx.MockTransport(lambda request: sent())))
    with pytest.raises(CliError, match="not safe to use"):
        storage.fetch(described(url="http://127.0.0.1:1/x"), out, nothing)
    assert storage.fetch(described(url="https://bucket.s3.amazonaws.com/x"), out, nothing)


def test_a_form_is_sent_whole_again_after_a_failure(environment: Environment, form_of: Any) -> None:
    bodies: list[bytes] = []

    def wire(request: httpx.Request) -> httpx.Response:
        bodies.append(request.read())
        assert request.headers["content-length"] == str(len(bodies[-1]))
        return httpx.Response(503 if len(bodies) == 1 else 204)

    storage = Storage(environment, httpx.Client(transport=httpx.MockTransport(wire)), sleep=nothing)
    steps: list[int] = []
    storage.post("http://127.0.0.1:1/", {"key": "uploads/x", "policy": "p"}, io.BytesIO(CONTENT), len(CONTENT), steps.append)
    assert [CONTENT in body for body in bodies] == [True, True]
    # S3 ignores the fields that come after the file.
    assert bodies[0].index(b'name="policy"') < bodies[0].index(b'name="file"')
    assert steps[-1] == len(CONTENT)


def test_the_buckets_refusal_is_told_with_its_code(over: Any) -> None:
    xml = "<Error><Code>EntityTooLarge</Code><Message>/var/secret</Message></Error>"
    storage = over(httpx.Response(400, text=xml, headers={"x-amz-request-id": "s3-1"}))
    with pytest.raises(CliError, match="larger than the environment allows") as refused:
        storage.post("http://127.0.0.1:1/", {}, io.BytesIO(b"x"), 1, nothing)
    assert (refused.value.code, refused.value.request_id) == ("EntityTooLarge", "s3-1")


def test_a_part_is_its_slice_of_the_file_with_its_length(environment: Environment) -> None:
    seen: list[httpx.Request] = []

    def wire(request: httpx.Request) -> httpx.Response:
        request.read()
        seen.append(request)
        return httpx.Response(200, headers={"ETag": '"e"'})

    storage = Storage(environment, httpx.Client(transport=httpx.MockTransport(wire)), sleep=nothing)
    assert storage.put("http://127.0.0.1:1/", io.BytesIO(b"0123456789"), 3, 4, nothing) == '"e"'
    assert seen[0].content == b"3456"
    assert seen[0].headers["content-length"] == "4"
    assert "transfer-encoding" not in seen[0].headers


def test_a_file_that_shrinks_while_it_is_sent_is_told(environment: Environment) -> None:
    storage = Storage(
        environment, httpx.Client(transport=httpx.MockTransport(lambda request: sent(request.read()))), sleep=nothing
    )
    with pytest.raises(CliError, match="shorter while it was sent"):
        storage.put("http://127.0.0.1:1/", io.BytesIO(b"01234"), 0, 10, nothing)
    with pytest.raises(CliError, match="shorter while it was sent"):
        storage.post("http://127.0.0.1:1/", {}, io.BytesIO(b"01234"), 10, nothing)
