"""Data sets through the console: streamed, a part at a time, and gone on with."""

import hashlib
import json
import re
import socket
import time
from collections import deque
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from operator_cli.tokens import Tokens

PART = 1000


class Service:
    """Uploads in parts, by idempotency key, as the service answers them."""

    def __init__(self, server: Any, bucket: Any, reply: Any, upload_id: str, refuse: Any) -> None:
        self.reply, self.refuse, self.upload_id = reply, refuse, upload_id
        self.keys: list[str] = []
        self.parts: dict[int, bytes] = {}
        self.completed: list[Any] = []
        self.over = False
        self.part_bytes: int | None = PART
        self.url = f"{bucket.url}/part"
        server.routes["POST", "/uploads"] = self._begin
        server.routes["POST", f"/uploads/{upload_id}/parts"] = self._addresses
        server.routes["POST", f"/uploads/{upload_id}/complete"] = self._complete
        bucket.routes["PUT", "/part"] = self._put
        bucket.routes["POST", "/form"] = self._form
        self._bucket = bucket
        self.form: bytes = b""

    def _begin(self, request: Any) -> Any:
        key = request.headers["idempotency-key"]
        if self.over and key in self.keys:
            return self.refuse(409, "upload_complete", "It is complete.")
        self.keys.append(key)
        size = request.json["bytes"]
        if self.part_bytes is None:
            fields = {"key": "k", "x-amz-signature": "form-secret"}
            return self.reply(201, {"upload_id": self.upload_id, "url": f"{self._bucket.url}/form", "fields": fields})
        return self.reply(201, {"upload_id": self.upload_id, "part_bytes": self.part_bytes, "parts": -(-size // self.part_bytes)})

    def _addresses(self, request: Any) -> Any:
        urls = [{"number": n, "url": f"{self.url}?n={n}&X-Amz-Signature=presigned-secret"} for n in request.json["numbers"]]
        return self.reply(200, {"parts": urls})

    def _put(self, request: Any) -> Any:
        number = int(parse_qs(urlsplit(request.path).query)["n"][0])
        if len(request.body) != int(request.headers["content-length"]):
            return self.refuse(400, "IncompleteBody", "")
        self.parts[number] = request.body
        return self.reply(200, None, {"ETag": f'"etag-{number}"'})

    def _form(self, request: Any) -> Any:
        self.form = request.body
        return self.reply(204)

    def _complete(self, request: Any) -> Any:
        self.completed.append(request.json)
        self.over = True
        return self.reply(200, {})


@pytest.fixture
def service(server: Any, bucket: Any, reply: Any, upload_id: str, refuse: Any) -> Service:
    return Service(server, bucket, reply, upload_id, refuse)


DATA = bytes(range(256)) * 9 + b"end"
FILE = {"name": "heart.h5ad", "bytes": len(DATA), "last_modified": 1_700_000_000_000}


def _send(console: Any, begun: dict[str, Any], *numbers: int) -> None:
    for number in numbers:
        part = DATA[(number - 1) * PART : number * PART]
        answer = console.page.put(f"/console/uploads/{begun['upload_id']}/parts/{number}", content=part)
        assert (answer.status_code, answer.json()) == (200, {"number": number})


def test_a_data_set_goes_through_in_parts(console: Any, service: Service, signed_in: Tokens, upload_id: str) -> None:
    begun = console.page.post("/console/uploads", json=FILE).json()
    assert begun == {"upload_id": upload_id, "part_bytes": PART, "parts": 3, "received": []}
    _send(console, begun, 3, 1)
    assert console.page.post(f"/console/uploads/{upload_id}/complete").json()["code"] == "parts_incomplete"
    _send(console, begun, 2)
    assert console.page.post(f"/console/uploads/{upload_id}/complete").status_code == 200
    assert b"".join(service.parts[number] for number in (1, 2, 3)) == DATA
    assert service.completed == [{"parts": [{"number": n, "etag": f'"etag-{n}"'} for n in (1, 2, 3)]}]
    assert console.page.post(f"/console/uploads/{upload_id}/complete").status_code == 404


def test_no_credential_goes_to_the_storage(console: Any, service: Service, bucket: Any, signed_in: Tokens) -> None:
    begun = console.page.post("/console/uploads", json=FILE).json()
    _send(console, begun, 1)
    (sent,) = bucket.seen
    assert not {"authorization", "cookie", "x-heartmap-console", "transfer-encoding"} & set(sent.headers)
    assert signed_in.access_token not in str(sent.headers)


def test_another_console_goes_on_where_the_first_one_was_killed(
    start_console: Any, service: Service, signed_in: Tokens, state: Any
) -> None:
    first = start_console()
    _send(first, first.page.post("/console/uploads", json=FILE).json(), 1, 3)
    second = start_console()
    begun = second.page.post("/console/uploads", json=FILE).json()
    assert begun["received"] == [1, 3]
    _send(second, begun, 2)
    assert second.page.post(f"/console/uploads/{begun['upload_id']}/complete").status_code == 200
    assert b"".join(service.parts[number] for number in (1, 2, 3)) == DATA
    assert len(set(service.keys)) == 1
    assert not list((state / "heartmapctl" / "uploads").iterdir())


@pytest.mark.parametrize("change", [{"bytes": len(DATA) - 1}, {"last_modified": 1}, {"name": "other.h5ad"}])
def test_another_file_is_another_upload(console: Any, service: Service, signed_in: Tokens, change: dict[str, Any]) -> None:
    _send(console, console.page.post("/console/uploads", json=FILE).json(), 1)
    service.upload_id = service.upload_id[:-1] + "Z"
    assert console.page.post("/console/uploads", json=FILE | change).json()["received"] == []
    assert len(set(service.keys)) == 2


def test_another_person_begins_anew(
    console: Any, service: Service, signed_in: Tokens, environment: Any, pool: Any, upload_id: str
) -> None:
    from operator_cli.session import Session

    begun = console.page.post("/console/uploads", json=FILE).json()
    _send(console, begun, 1)
    pool.access_claims = {"sub": "another"}
    Session(environment).start(Tokens(access_token=pool.issue()["access_token"], expires_at=time.time() + 3600))
    answer = console.page.put(f"/console/uploads/{upload_id}/parts/2", content=DATA[PART : 2 * PART])
    assert (answer.status_code, answer.json()["code"]) == (404, "no_such_upload")
    service.upload_id = service.upload_id[:-1] + "Z"
    assert console.page.post("/console/uploads", json=FILE).json()["received"] == []
    # Nor is it the first person's call that is repeated.
    assert len(set(service.keys)) == 2


def test_an_upload_that_is_over_begins_anew(console: Any, service: Service, signed_in: Tokens) -> None:
    _send(console, console.page.post("/console/uploads", json=FILE).json(), 1)
    service.over = True
    assert console.page.post("/console/uploads", json=FILE).json()["received"] == []
    assert len(set(service.keys)) == 2


def test_a_small_data_set_goes_in_one_post(console: Any, service: Service, signed_in: Tokens, form_of: Any, bucket: Any) -> None:
    service.part_bytes = None
    begun = console.page.post("/console/uploads", json=FILE)
    assert begun.json() == {"upload_id": service.upload_id, "part_bytes": len(DATA), "parts": 1, "received": []}
    assert "form-secret" not in begun.text
    answer = console.page.put(f"/console/uploads/{service.upload_id}/parts/1", content=DATA)
    assert answer.json() == {"number": 1}
    fields = form_of(bucket.seen[-1])
    assert fields == {"key": b"k", "x-amz-signature": b"form-secret", "file": DATA}
    # The file comes last: S3 reads no field after it.
    assert service.form.index(b'name="file"') > service.form.index(b"form-secret")
    assert console.page.post(f"/console/uploads/{service.upload_id}/complete").status_code == 200


def test_who_may_see_it_is_said_apart_from_the_beginning(
    console: Any, service: Service, server: Any, reply: Any, signed_in: Tokens, upload_id: str
) -> None:
    server.routes["PATCH", f"/uploads/{upload_id}"] = reply(200, {})
    console.page.post("/console/uploads", json=FILE | {"visibility": "shared"})
    assert server.requests("PATCH", f"/uploads/{upload_id}")[0].json == {"visibility": "shared"}
    assert "visibility" not in server.requests("POST", "/uploads")[0].json


@pytest.mark.parametrize(
    ("number", "content", "status", "code"),
    [
        (1, DATA[: PART - 1], 422, "wrong_length"),
        (1, DATA[: PART + 1], 422, "wrong_length"),
        (0, b"x", 422, "no_such_part"),
        (4, b"x", 422, "no_such_part"),
        (1, b"", 422, "wrong_length"),
    ],
)
def test_a_part_has_its_number_and_its_length(
    console: Any, service: Service, bucket: Any, signed_in: Tokens, number: int, content: bytes, status: int, code: str
) -> None:
    begun = console.page.post("/console/uploads", json=FILE).json()
    answer = console.page.put(f"/console/uploads/{begun['upload_id']}/parts/{number}", content=content)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert not bucket.seen


def test_a_part_that_breaks_off_is_not_there(
    console: Any, service: Service, signed_in: Tokens, upload_id: str, wait_for: Any
) -> None:
    console.page.post("/console/uploads", json=FILE)
    name, value = next(iter(console.cookie.items()))
    head = (
        f"PUT /console/uploads/{upload_id}/parts/1 HTTP/1.1\r\nHost: 127.0.0.1:{console.port}\r\nCookie: {name}={value}\r\n"
        f"X-HeartMAP-Console: {console.key['X-HeartMAP-Console']}\r\nContent-Length: {PART}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", console.port)) as connection:
        connection.sendall(head.encode() + DATA[: PART // 2])
        time.sleep(0.3)
    begun = wait_for(lambda: console.page.post("/console/uploads", json=FILE).json())
    assert begun["received"] == []
    assert 1 not in service.parts
    _send(console, begun, 1)
    assert service.parts[1] == DATA[:PART]


def test_a_part_that_stops_coming_is_given_up(
    console: Any, service: Service, signed_in: Tokens, upload_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("operator_cli.console.bodies.BLOCK_SECONDS", 0.3)
    console.page.post("/console/uploads", json=FILE)
    line = f"PUT /console/uploads/{upload_id}/parts/1 HTTP/1.1\r\nContent-Length: {PART}\r\n"
    assert console.status_of(line.encode() + b"\r\nabc") == 408


def test_what_the_storage_refuses_is_told_without_its_words(
    console: Any, service: Service, bucket: Any, reply: Any, signed_in: Tokens, upload_id: str
) -> None:
    console.page.post("/console/uploads", json=FILE)
    body = b"<Error><Code>AccessDenied</Code><Message>arn:aws:secret</Message></Error>"
    bucket.routes["PUT", "/part"] = reply(403, body)
    answer = console.page.put(f"/console/uploads/{upload_id}/parts/1", content=DATA[:PART])
    assert (answer.status_code, answer.json()["code"]) == (502, "storage_refused")
    assert "AccessDenied" in answer.text
    assert "arn:" not in answer.text


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest/meta-data",
        "http://internal.example/part",
        "file:///etc/passwd",
        "ftp://127.0.0.1/part",
        "//127.0.0.1/part",
        "gopher://127.0.0.1:6379/_x",
        "http://127.0.0.1.evil.example/part",
        "http://127.0.0.1@evil.example/part",
        "http://[::ffff:169.254.169.254]/part",
        "",
    ],
)
def test_data_goes_to_a_safe_address_only(
    console: Any, service: Service, bucket: Any, signed_in: Tokens, upload_id: str, url: str
) -> None:
    console.page.post("/console/uploads", json=FILE)
    service.url = url
    answer = console.page.put(f"/console/uploads/{upload_id}/parts/1", content=DATA[:PART])
    assert answer.status_code == 502
    assert "not safe" in answer.json()["detail"]


def test_outside_of_local_data_goes_over_tls_only(environment: Any) -> None:
    from operator_cli.errors import CliError
    from operator_cli.storage import safe_address
    from operator_cli.vocabulary import EnvironmentName

    dev = environment.model_copy(update={"name": EnvironmentName.DEV})
    assert str(safe_address(dev, "https://b.s3.amazonaws.com/k")) == "https://b.s3.amazonaws.com/k"
    for url in ("http://127.0.0.1/k", "http://b.s3.amazonaws.com/k"):
        with pytest.raises(CliError):
            safe_address(dev, url)


def test_no_redirect_of_the_storage_is_followed(
    console: Any, service: Service, bucket: Any, reply: Any, signed_in: Tokens, upload_id: str
) -> None:
    console.page.post("/console/uploads", json=FILE)
    bucket.routes["PUT", "/part"] = reply(307, None, {"Location": f"{bucket.url}/elsewhere"})
    assert console.page.put(f"/console/uploads/{upload_id}/parts/1", content=DATA[:PART]).status_code == 502
    assert not bucket.requests("PUT", "/elsewhere")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": "a", "bytes": 0},
        {"name": "", "bytes": 1},
        {"name": "a", "bytes": "1"},
        {"name": "a", "bytes": 1.5},
        {"name": "a", "bytes": 1, "other": 1},
        {"name": ["a"], "bytes": 1},
        [],
        "x",
        None,
    ],
)
def test_a_beginning_is_checked(console: Any, service: Service, signed_in: Tokens, body: Any) -> None:
    answer = console.page.post("/console/uploads", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert not service.keys


def test_a_file_may_be_called_anything(console: Any, service: Service, server: Any, signed_in: Tokens, state: Any) -> None:
    name = "../../<script>alert(1)</script>\u202e\n.h5ad"
    begun = console.page.post("/console/uploads", json=FILE | {"name": name})
    _send(console, begun.json(), 1)
    sent = server.requests("POST", "/uploads")[0].json["name"]
    assert "\n" not in sent
    assert "\u202e" not in sent
    assert begun.headers["content-type"] == "application/json"
    (record,) = (state / "heartmapctl" / "uploads").iterdir()
    assert re.fullmatch(r"[0-9a-f]{64}\.json", record.name)
    assert hashlib.sha256(json.dumps(name).encode()).hexdigest() not in record.read_text()


def test_no_answer_about_an_upload_holds_a_secret(console: Any, service: Service, signed_in: Tokens, upload_id: str) -> None:
    begun = console.page.post("/console/uploads", json=FILE)
    part = console.page.put(f"/console/uploads/{upload_id}/parts/1", content=DATA[:PART])
    for answer in (begun, part):
        text = answer.text + str(answer.headers)
        for secret in ("presigned-secret", "X-Amz", signed_in.access_token, str(signed_in.refresh_token), service.keys[0]):
            assert secret not in text


def test_what_can_be_repeated_is_repeated(
    console: Any, service: Service, server: Any, reply: Any, refuse: Any, signed_in: Tokens, upload_id: str
) -> None:
    """Putting a large upload together may take longer than one call may."""
    begun = console.page.post("/console/uploads", json=FILE).json()
    _send(console, begun, 1, 2, 3)
    server.routes["POST", f"/uploads/{upload_id}/complete"] = deque([refuse(504, "timeout", "Too long."), reply(200, {})])
    assert console.page.post(f"/console/uploads/{upload_id}/complete").status_code == 200
    assert len(server.requests("POST", f"/uploads/{upload_id}/complete")) == 2
    # What was not put together can still be.
    begun = console.page.post("/console/uploads", json=FILE).json()
    _send(console, begun, 1, 2, 3)
    server.routes["POST", f"/uploads/{upload_id}/complete"] = refuse(503, "busy", "Busy.")
    answer = console.page.post(f"/console/uploads/{upload_id}/complete")
    assert (answer.status_code, answer.json()["code"]) == (503, "busy")
    assert console.page.post("/console/uploads", json=FILE).json()["received"] == [1, 2, 3]
