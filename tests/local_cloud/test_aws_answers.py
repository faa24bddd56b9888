"""The emulated AWS and the local edge give the answers that real AWS was recorded to give; where not, the difference is listed.

What the files are and where the answers are from: `aws_answers/README.md`. ANSWERS_WRITE=1 writes the differences found anew,
with the reasons that are there already; whoever does it reads each one.
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

FILES = Path(__file__).resolve().parent / "aws_answers"
RECORDED = json.loads((FILES / "recorded.json").read_text())["cases"]
REASONS: dict[str, str]
LISTED: dict[str, dict[str, Any]]
REASONS, LISTED = (json.loads((FILES / "differences.json").read_text())[key] for key in ("reasons", "differences"))

# The account and the placeholders of the recordings: an id may be any text, equal ids need not be checked.
ACCOUNT = ("111111111111", "123456789012")
PLACEHOLDER = re.compile(r"<[a-z0-9-]+(:\d+)?>|datetime|date|amz-id|display-name|owner-id")


def filled(value: Any, known: dict[str, Any]) -> Any:
    """The call's arguments with "$name.key" replaced by what an earlier answer said."""
    if isinstance(value, dict):
        return {key: filled(item, known) for key, item in value.items()}
    if isinstance(value, list):
        return [filled(item, known) for item in value]
    if isinstance(value, str) and re.fullmatch(r"\$\w+\.\w+", value):
        name, _, key = value[1:].partition(".")
        return known[name][key]
    return value


def fits(recorded: Any, answered: Any) -> bool:
    """Whether a plain value is what was recorded, up to placeholders."""
    if not isinstance(recorded, str):
        return recorded == answered
    pattern, last = "", 0
    text = recorded.replace(*ACCOUNT)
    for found in PLACEHOLDER.finditer(text):
        pattern += re.escape(text[last : found.start()]) + ".*"
        last = found.end()
    return re.fullmatch(pattern + re.escape(text[last:]), str(answered), re.DOTALL) is not None


def differences(recorded: Any, answered: Any, path: str = "") -> Iterator[str]:
    """Where the two differ, a line each."""
    if isinstance(recorded, dict) and isinstance(answered, dict):
        yield from _of_maps(recorded, answered, path)
    elif isinstance(recorded, list) and isinstance(answered, list) and len(recorded) == len(answered):
        for index, (one, other) in enumerate(zip(recorded, answered, strict=True)):
            yield from differences(one, other, f"{path}[{index}]")
    elif isinstance(recorded, list) and isinstance(answered, list):
        yield f"{path}: recorded {len(recorded)} of them, here {len(answered)}"
    elif not fits(recorded, answered):
        yield f"{path}: recorded {brief(recorded)}, here {brief(answered)}"


def _of_maps(recorded: dict[str, Any], answered: dict[str, Any], path: str) -> Iterator[str]:
    if ("Error" in recorded) != ("Error" in answered):
        taken = "AWS refuses it with {}, here it is taken" if "Error" in recorded else "AWS takes it, here it is refused with {}"
        yield taken.format((recorded | answered)["Error"]["Code"])
        return
    for key in sorted({*recorded, *answered}):
        where = f"{path}.{key}" if path else key
        if key not in answered:
            yield f"{where}: recorded {brief(recorded[key])}, absent here"
        elif key not in recorded:
            yield f"{where}: not recorded, here {brief(answered[key])}"
        else:
            yield from differences(recorded[key], answered[key], where)


def brief(value: Any) -> str:
    # What is made up anew in each run must not get into the list.
    text = json.dumps(value, sort_keys=True, default=str)
    text = re.sub(r'"(?=[a-z]*\d)[a-z0-9]{10}"', '"an id"', re.sub(r"\d{4}-\d\d-\d\d[T ][0-9:.+Z-]+", "a time", text))
    return text if len(text) <= 160 else text[:157] + "..."


def said(error: dict[str, Any]) -> dict[str, Any]:
    """What clients read of an error; AWS also repeats the arguments, in other fields for each."""
    return {key: error[key] for key in ("Code", "Message") if key in error}


def plain(answer: dict[str, Any]) -> dict[str, Any]:
    """An answer of boto3 in the form of the recordings."""
    status = answer.pop("ResponseMetadata")["HTTPStatusCode"]
    if "Error" in answer:
        return {"Error": said(answer["Error"]), "status": status}
    for name, value in answer.items():
        if name in {"schema", "Policy"}:
            answer[name] = json.loads(value)
        elif name == "Body":
            answer[name] = value.read().decode()
        elif isinstance(value, list):
            answer[name] = [{**one, "schema": json.loads(one["schema"])} if "schema" in one else one for one in value]
    return answer | {"status": status}


class Caller:
    """Makes the calls of one case. Buckets are named for the case, so that none meets another's."""

    def __init__(self, aws_endpoint: str, client: Callable[[str], Any], edge: Callable[[], str], number: int) -> None:
        self._endpoint, self._client, self._edge = aws_endpoint, client, edge
        self._bucket = f"trial-bucket-{number}"

    def __call__(self, call: str, arguments: dict[str, Any]) -> dict[str, Any]:
        arguments = json.loads(json.dumps(arguments).replace("trial-bucket", self._bucket))
        if call == "edge":
            return self._at_the_edge(**arguments)
        if call == "post_object":
            return self._post_object(**arguments)
        service, _, operation = call.partition(".")
        try:
            return plain(getattr(self._client(service), operation)(**arguments))
        except ClientError as error:
            return plain(dict(error.response))

    def _at_the_edge(self, method: str, path: str, headers: dict[str, str] | None = None) -> dict[str, Any]:
        answer = httpx.request(
            method,
            self._edge() + path,
            headers={"Authorization": "Bearer someone", **(headers or {})},
            verify=False,  # noqa: S501
        )
        return {"content": answer.json(), "errorType": answer.headers["x-amzn-errortype"]}

    def _post_object(
        self,
        Bucket: str,  # noqa: N803  # as boto3 names it
        Key: str,  # noqa: N803
        body: str,
        expires: int = 60,
        conditions: list[Any] | None = None,
        fields: dict[str, str] | None = None,
        without: tuple[str, ...] = (),
        only: tuple[str, ...] | None = None,
        cut_policy: int = 0,
    ) -> dict[str, Any]:
        post = self._client("s3").generate_presigned_post(Bucket, Key, fields, conditions, expires)
        given = {name: text for name, text in post["fields"].items() if name not in without and (only is None or name in only)}
        if cut_policy:
            given["policy"] = given["policy"][:-cut_policy]
        answer = httpx.post(post["url"], data=given, files={"file": body.encode()})
        if not answer.is_error:
            return {}
        assert answer.is_client_error, answer.text
        error = {element.tag: element.text for element in ET.fromstring(answer.content)}  # noqa: S314  # from our own server
        return {"Error": said(error), "StatusCode": answer.status_code}


@pytest.fixture(scope="module")
def client(aws_endpoint: str) -> Callable[[str], Any]:
    """boto3 as it is but for its own checks, so that AWS's are met."""
    others = Config(parameter_validation=False, retries={"total_max_attempts": 1})
    s3 = others.merge(Config(signature_version="s3v4"))
    session: Any = boto3.Session("local", "local", region_name="us-east-1")
    return lambda service: session.client(service, endpoint_url=aws_endpoint, config=s3 if service == "s3" else others)


@contextmanager
def _running_edge(state: Path, endpoint: str) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    variables = {"AWS_ENDPOINT_URL": endpoint, "AWS_REGION": "us-east-1"}
    command = [sys.executable, "-m", "local_cloud.edge", "--state", str(state), "--port", str(port)]
    with subprocess.Popen(command, env=os.environ | variables, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            while "edge ready" not in (line := process.stdout.readline()):
                assert line, "the edge did not start"
            yield f"https://localhost:{port}"
        finally:
            process.terminate()
            process.wait(15)


@pytest.fixture(scope="module")
def edge(make_site: Callable[[], Any], aws_endpoint: str) -> Iterator[Callable[[], str]]:
    """The edge before an API whose gateway responses are AWS's own: the URL, once it is asked for."""
    running: list[Any] = []

    def start() -> str:
        if not running:
            site = make_site()
            site.method(
                "GET", "/nested/{test}", required=("method.request.querystring.qs1", "method.request.header.x-header-param")
            )
            site.deploy()
            context = _running_edge(site.state, aws_endpoint)
            running.append((context, context.__enter__()))
        return running[0][1]

    yield start
    for context, _ in running:
        context.__exit__(None, None, None)


def found_in(case: dict[str, Any], call: Caller) -> dict[str, list[str]]:
    """The differences of a case, by step."""
    known: dict[str, Any] = {}
    found: dict[str, list[str]] = {}
    for step in case["steps"]:
        answer = call(step["call"], filled(step["with"], known))
        if "as" in step:
            known[step["as"]] = answer
        if "answer" in step:
            recorded = step["answer"]
            # Some recordings leave these two out.
            answer = {key: value for key, value in answer.items() if key in recorded or key not in {"StatusCode", "errorType"}}
            if lines := list(differences(recorded, answer)):
                found[step["name"]] = lines
    return found


def title(case: dict[str, Any]) -> str:
    return case["source"].rpartition("::")[2]


@pytest.mark.parametrize(("number", "case"), list(enumerate(RECORDED)), ids=[title(case) for case in RECORDED])
def test_the_answers_are_those_of_aws_but_for_listed_differences(
    number: int, case: dict[str, Any], aws_endpoint: str, client: Callable[[str], Any], edge: Callable[[], str]
) -> None:
    found = found_in(case, Caller(aws_endpoint, client, edge, number))
    if os.environ.get("ANSWERS_WRITE"):
        _write(title(case), found)
        return
    listed = {step: one["lines"] for step, one in LISTED.get(title(case), {}).items()}
    assert found == listed


def test_every_listed_difference_is_of_a_recorded_step_and_has_a_reason() -> None:
    steps = {(title(case), step.get("name")) for case in RECORDED for step in case["steps"]}
    listed = {(name, step): one["reason"] for name, differing in LISTED.items() for step, one in differing.items()}
    assert listed.keys() <= steps
    assert set(listed.values()) == set(REASONS), "each difference names a reason, and each reason is needed"
    assert all(len(text) > 20 for text in REASONS.values())


def _write(name: str, found: dict[str, list[str]]) -> None:
    file = FILES / "differences.json"
    document = json.loads(file.read_text())
    before = document["differences"].pop(name, {})
    if found:
        document["differences"][name] = {
            step: {"reason": before.get(step, {}).get("reason", ""), "lines": lines} for step, lines in found.items()
        }
    file.write_text(json.dumps(document, indent=1) + "\n")
