"""Policies of Azure API Management, run: their C# compiled as it stands by Mono's compiler, their elements written around it.

What is real: each expression, its parsing, and .NET's strings, regular expressions, HMAC and Base64, as Mono has them. What is a
stand-in, made from the documentation: the elements' meaning and the members of ``context`` (Gateway.cs). What is missing: the
gateway itself, its routing, and the signature of a token, which the caller of this module vouches for.
"""

import base64
import json
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, fromstring

SOURCE = Path(__file__).with_name("Gateway.cs")
_USINGS = "System System.Collections.Generic System.Linq System.Security.Cryptography System.Text System.Text.RegularExpressions"
_PAIR, _NEXT = "\x1e", "\x1f"


@dataclass(frozen=True)
class Answer:
    """``status`` None: the call went on to the service with these headers."""

    status: int | None
    body: str
    headers: Mapping[str, str]
    request_id: str

    @property
    def problem(self) -> dict[str, Any]:
        return json.loads(self.body)


@dataclass(frozen=True, kw_only=True)
class Call:
    """``claims`` are those of the token in ``Authorization``, and ``alg``; None: its signature does not hold."""

    operation: str
    method: str = "GET"
    path: str = "/"
    api_path: str = ""
    address: str = "192.0.2.7"
    body: str = ""
    headers: Iterable[tuple[str, str]] = ()
    query: Iterable[tuple[str, str]] = ()
    claims: Iterable[tuple[str, str]] | None = None


class Pipeline:
    """Compiled policies. Counters of rates live as long as a list of calls, or as one call where they are ``apart``."""

    def __init__(self, files: Mapping[str, str], directory: Path, named_values: Mapping[str, str]) -> None:
        source = directory / "Policies.cs"
        source.write_text(_program(files, named_values), encoding="utf-8")
        self._program = directory / "policies.exe"
        command = ["mcs", "-nologo", "-langversion:7", "-warnaserror-", f"-out:{self._program}", str(SOURCE), str(source)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    def run(self, calls: Iterable[Call], *, apart: bool = False) -> list[Answer]:
        given = "".join(("\n" if apart else "") + _line(call) for call in calls)
        done = subprocess.run(["mono", self._program], input=given, capture_output=True, text=True, timeout=120, check=True)
        return [_answer(line) for line in done.stdout.splitlines()]


def parsed(text: str) -> Element:
    """The root of a policy document of this project's own."""
    return fromstring(text)  # noqa: S314  # nobody else wrote it


def _line(call: Call) -> str:
    claims = "" if call.claims is None else _pairs(call.claims)
    fields = [call.operation, call.method, call.api_path, call.path, call.address, call.body]
    fields += [_pairs(call.headers), _pairs(call.query), claims]
    return "\t".join(base64.b64encode(field.encode()).decode() for field in fields) + "\n"


def _pairs(pairs: Iterable[tuple[str, str]]) -> str:
    return _NEXT.join(f"{name}{_PAIR}{value}" for name, value in pairs)


def _answer(line: str) -> Answer:
    status, body, headers, request_id = (base64.b64decode(field).decode() for field in line.split("\t"))
    pairs = (pair.split(_PAIR, 1) for pair in headers.split(_NEXT) if pair)
    return Answer(int(status) or None, body, dict(pairs), request_id)


def _program(files: Mapping[str, str], named_values: Mapping[str, str]) -> str:
    texts = dict(files)
    for name in texts:
        for named, value in named_values.items():
            texts[name] = texts[name].replace("{{" + named + "}}", value)
    documents = {name: parsed(text) for name, text in texts.items() if name.endswith(".xml")}
    fragments = {Path(name).stem: made for name, made in documents.items() if made.tag == "fragment"}
    operations = {Path(name).stem: made for name, made in documents.items() if name.startswith("policies/operations/")}
    api = documents["policies/api.xml"]
    assert [each.tag for each in _section(api, "backend")] == ["forward-request"]
    methods = [_method(_called(name), made, base="") for name, made in fragments.items()]
    methods += [_method("Api", _section(api, "inbound"), base="")]
    methods += [_method(_called(name), _section(made, "inbound"), base=_through("Api")) for name, made in operations.items()]
    methods += [_method("Failed", _section(api, "on-error"), base="")]
    cases = "".join(
        f'if (operation == "{name}") {{ return {_called(name)}(context) ?? Forward(context); }}\n' for name in operations
    )
    return (
        "".join(f"using {name};\n" for name in _USINGS.split())
        + "public static class Policies {\n"
        + "static Answer Forward(Context context) { return new Answer { Headers = context.Request.Headers }; }\n"
        + f"public static Answer Inbound(string operation, Context context) {{\n{cases}"
        + 'throw new Failure("configuration", "OperationNotFound"); }\n'
        + "public static Answer OnError(Context context) { return Failed(context); }\n"
        + "\n".join(methods)
        + "\n}\n"
    )


def _section(policies: Element, name: str) -> Element:
    (found,) = policies.findall(name)
    return found


def _called(name: str) -> str:
    return "P_" + name.replace("-", "_")


def _through(method: str) -> str:
    """Goes on if the method gives no answer."""
    return f"{{ var answer = {method}(context); if (answer != null) {{ return answer; }} }}"


def _method(name: str, body: Element, *, base: str) -> str:
    statements = "\n".join(_statement(each, base) for each in body)
    return f"static Answer {name}(Context context) {{\n{statements}\nreturn null; }}"


def _statement(element: Element, base: str) -> str:
    given = element.attrib
    match element.tag:
        case "base":
            return base
        case "set-variable":
            return f"context.Variables[{_text(given['name'])}] = {_value(given['value'])};"
        case "include-fragment":
            return _through(_called(given["fragment-id"]))
        case "ip-filter":
            assert given["action"] == "allow"
            ranges = ", ".join(_text(each.attrib[end]) for each in element for end in ("from", "to"))
            return f"Call.Filter(context.Request.IpAddress, {ranges});"
        case "rate-limit-by-key" | "quota-by-key":
            return f'Call.Count("{element.tag}", (string){_value(given["counter-key"])}, {int(given["calls"])});'
        case "validate-jwt":
            return _validate(element)
        case "set-header":
            return _header("context.Request", element)
        case "set-backend-service":
            return ""
        case "choose":
            return "\n".join(_when(each) for each in element)
        case _:
            raise AssertionError(f"nothing here knows the policy {element.tag}")


def _when(when: Element) -> str:
    assert when.tag == "when"
    (response,) = when
    status = response.find("set-status")
    assert response.tag == "return-response"
    assert status is not None
    headers = "\n".join(_header("answer", each) for each in response.findall("set-header"))
    body = "\n".join(f"answer.Body = (string){_value(each.text or '')};" for each in response.findall("set-body"))
    answer = f"var answer = new Answer {{ Status = {int(status.attrib['code'])} }};"
    return f"if ((bool){_value(when.attrib['condition'])}) {{ {answer}\n{headers}\n{body}\nreturn answer; }}"


def _header(of: str, element: Element) -> str:
    name = _text(element.attrib["name"])
    if element.attrib["exists-action"] == "delete":
        return f"{of}.Headers.Remove({name});"
    assert element.attrib["exists-action"] == "override"
    (value,) = element
    return f"{of}.Headers[{name}] = new [] {{ (string){_value(value.text or '')} }};"


def _validate(element: Element) -> str:
    issuers = ", ".join(_text(each.text or "") for each in element.iterfind("issuers/issuer"))
    claims = [
        [each.attrib["name"], each.attrib["match"], *(value.text or "" for value in each)]
        for each in element.iterfind("required-claims/claim")
    ]
    required = ", ".join(f"new [] {{ {', '.join(map(_text, claim))} }}" for claim in claims)
    call = f"Call.Validate((string){_value(element.attrib['token-value'])}, {int(element.attrib['clock-skew'])}"
    variable = _text(element.attrib["output-token-variable-name"])
    return f"context.Variables[{variable}] = {call}, new [] {{ {issuers} }}, {required});"


def _value(text: str) -> str:
    """A literal, an expression or a block, as C# of type object."""
    text = text.strip()
    if text.startswith("@("):
        return f"((object){text[1:]})"
    if text.startswith("@{"):
        return f"((Func<object>)(() => {text[1:]}))()"
    return f"((object){_text(text)})"


def _text(text: str) -> str:
    return json.dumps(text)
