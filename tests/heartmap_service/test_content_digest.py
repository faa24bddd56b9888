import asyncio
import json
import tempfile
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from heartmap_service import api, content_digest
from heartmap_service.content_digest import ContentDigest
from lambda_authorizer.signature import content_digest as digest_of

HEADER = "Content-Digest"
JSON = {"Content-Type": "application/json"}
NOTHING = digest_of(b"")


def refused(answer: Any, code: str) -> bool:
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.json()["request_id"] == "request-1"
    return (answer.status_code, answer.json()["code"]) == (400, code)


def test_a_body_with_its_digest_is_taken(admin: Any) -> None:
    body = b'{"min_genes": 5}'
    answer = admin.call("POST", "/config", content=body, headers={**JSON, HEADER: digest_of(body)})
    assert (answer.status_code, answer.json()["config"]["min_genes"]) == (200, 5)


def test_a_body_with_anothers_digest_changes_nothing(admin: Any) -> None:
    before = admin.call("GET", "/config").json()
    answer = admin.call("POST", "/config", content=b'{"min_genes": 6}', headers={**JSON, HEADER: digest_of(b'{"min_genes": 5}')})
    assert refused(answer, "content_digest_mismatch")
    assert admin.call("GET", "/config").json() == before


def test_without_the_header_nothing_is_compared(admin: Any) -> None:
    assert admin.call("POST", "/config", json={"min_genes": 5}).status_code == 200


@pytest.mark.parametrize(("method", "path"), [("GET", "/models"), ("GET", "/health"), ("GET", "/analyses")])
def test_a_call_without_a_body_has_the_digest_of_nothing(viewer: Any, method: str, path: str) -> None:
    assert viewer.call(method, path, headers={HEADER: NOTHING}).status_code == 200
    # Its route reads no body, and the digest is compared all the same.
    assert refused(viewer.call(method, path, headers={HEADER: digest_of(b"x")}), "content_digest_mismatch")


def test_a_body_that_was_taken_away_is_told(analyst: Any) -> None:
    # The body of this call is optional.
    answer = analyst.call("POST", "/uploads", headers={HEADER: digest_of(b'{"bytes": 5}')})
    assert refused(answer, "content_digest_mismatch")
    assert analyst.call("POST", "/uploads", headers={HEADER: NOTHING}).status_code == 201


@pytest.mark.parametrize(
    "value",
    [
        "",
        "sha-256",
        NOTHING[:-1],
        NOTHING + " ",
        f"{NOTHING};a",
        f"{NOTHING}, {NOTHING}",
        f"{NOTHING}, sha-512=:{'A' * 86}==:",
        NOTHING.replace("sha-256", "SHA-256"),
        NOTHING.replace("sha-256", "sha-512"),
        NOTHING.replace("=:", "=: ", 1),
        NOTHING.replace("+", "-").replace("/", "_").replace("=:", ":", 1),
        # The same bytes to a decoder that does not look at the last bits.
        NOTHING.replace("U=:", "V=:"),
        f"sha-256=:{sha256().hexdigest()}:",
    ],
)
def test_another_form_is_refused(viewer: Any, value: str) -> None:
    assert value != NOTHING
    assert refused(viewer.call("GET", "/models", headers={HEADER: value}), "content_digest_invalid")


def test_two_headers_are_refused_even_when_they_agree(http: Any, viewer: Any) -> None:
    from lambda_authorizer.assertion import HEADER as ASSERTION

    headers = [(ASSERTION, viewer.assertion("GET", "/models")), (HEADER, NOTHING), (HEADER.lower(), NOTHING)]
    assert refused(http.get("/models", headers=headers), "content_digest_invalid")


def test_a_wrong_header_is_not_told_to_who_may_not_call(http: Any, viewer: Any) -> None:
    assert http.get("/models", headers={HEADER: "x"}).status_code == 401
    assert viewer.call("POST", "/config", headers={HEADER: "x"}).status_code == 403


def test_a_data_set_is_handed_on_whole(analyst: Any, small: Path, monkeypatch: pytest.MonkeyPatch, clients: Any) -> None:
    """Above what is held in memory: the file of pieces is what arrives in the bucket."""
    monkeypatch.setattr(api, "ANALYZE_SECONDS", 0)
    data = small.read_bytes() + bytes(3 * content_digest.IN_MEMORY)
    body, kind = form(data)
    answer = analyst.call("POST", "/analyze", content=body, headers={"Content-Type": kind, HEADER: digest_of(body)})
    assert answer.status_code == 202, answer.text
    [stored] = clients.s3.list_objects_v2(Bucket="uploads")["Contents"]
    assert clients.s3.get_object(Bucket="uploads", Key=stored["Key"])["Body"].read() == data


def test_a_data_set_with_one_bit_changed_is_not_stored(analyst: Any, small: Path, clients: Any) -> None:
    body, kind = form(small.read_bytes() + bytes(2 * content_digest.IN_MEMORY))
    changed = body[:-1000] + bytes([body[-1000] ^ 1]) + body[-999:]
    answer = analyst.call("POST", "/analyze", content=changed, headers={"Content-Type": kind, HEADER: digest_of(body)})
    assert refused(answer, "content_digest_mismatch")
    assert "Contents" not in clients.s3.list_objects_v2(Bucket="uploads")
    assert analyst.call("GET", "/analyses").json()["analyses"] == []


def test_a_body_above_the_rules_limit_is_not_read_to_its_end(admin: Any) -> None:
    taken = 0

    def pieces() -> Iterator[bytes]:
        nonlocal taken
        for _ in range(1000):
            taken += 1
            yield b" " * 1024

    answer = admin.call("POST", "/config", content=pieces(), headers={**JSON, HEADER: NOTHING})
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


def form(data: bytes) -> tuple[bytes, str]:
    head = b'--edge\r\nContent-Disposition: form-data; name="file"; filename="cells.h5ad"\r\n\r\n'
    return head + data + b"\r\n--edge--\r\n", "multipart/form-data; boundary=edge"


class Application:
    """What is behind the layer: reads until the end of the body, or not at all."""

    def __init__(self) -> None:
        self.received: list[Any] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        while True:
            message = await receive()
            self.received.append(message)
            if message["type"] == "http.disconnect" or not message.get("more_body"):
                return


def run(header: str, *messages: dict[str, Any]) -> Application:
    application, left = Application(), list(messages)

    async def receive() -> dict[str, Any]:
        return left.pop(0)

    async def send(message: Any) -> None: ...

    scope = {"type": "http", "headers": [(b"content-digest", header.encode())]}
    asyncio.run(ContentDigest(application)(scope, receive, send))
    assert not left
    return application


def test_the_application_sees_no_byte_before_the_whole_body_was_compared() -> None:
    pieces = [{"type": "http.request", "body": piece, "more_body": more} for piece, more in ((b"ab", True), (b"c", False))]
    assert run(digest_of(b"abc"), *pieces).received == [{"type": "http.request", "body": b"abc", "more_body": False}]
    with pytest.raises(content_digest.Problem, match="Content-Digest"):
        run(digest_of(b"abd"), *pieces)


def test_a_caller_who_goes_away_leaves_no_body_behind() -> None:
    messages = [{"type": "http.request", "body": b"ab", "more_body": True}, {"type": "http.disconnect"}]
    assert run(digest_of(b"ab"), *messages).received == [{"type": "http.disconnect"}]


def test_a_large_body_is_on_the_disk_and_handed_on_in_pieces(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    files = []
    make = tempfile.SpooledTemporaryFile

    def watched(**arguments: Any) -> Any:
        files.append(make(**arguments))
        return files[-1]

    monkeypatch.setattr(content_digest.tempfile, "SpooledTemporaryFile", watched)
    body = bytes(range(256)) * 40_960
    pieces = [body[at : at + 500_000] for at in range(0, len(body), 500_000)]
    application = run(
        digest_of(body),
        *({"type": "http.request", "body": piece, "more_body": piece is not pieces[-1]} for piece in pieces),
    )
    assert b"".join(message["body"] for message in application.received) == body
    assert max(len(message["body"]) for message in application.received) <= content_digest.PIECE
    [file] = files
    assert file._rolled
    assert file.closed
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_call_is_handed_on() -> None:
    seen: list[Any] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["type"])

    asyncio.run(ContentDigest(application)({"type": "lifespan"}, None, None))  # pyright: ignore[reportArgumentType]
    assert seen == ["lifespan"]


def test_the_answer_is_logged_with_its_code(viewer: Any, capsys: pytest.CaptureFixture[str]) -> None:
    api.configure("api", "INFO")
    viewer.call("GET", "/models", headers={HEADER: digest_of(b"x")})
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    [call] = [line for line in lines if line["event"] == "call"]
    assert (call["status"], call["reason"]) == (400, "content_digest_mismatch")
