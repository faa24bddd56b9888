"""Every rendering follows the access policy, row by row and field by field; and the tracked ones are of today's."""

import itertools
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateways import example as examples
from gateways import templates, writing
from gateways.model import Gateway, GatewayError, Route, route
from gateways.render import KINDS, render
from lambda_authorizer.access_policy import ACCESS_POLICY, SERVICE
from operator_cli.verbs.gateway import Kind

# Another value of each field of a row, and which rows it makes a difference for.
CHANGES: dict[str, Any] = {
    "method": lambda row: {"method": "PUT"},
    "template": lambda row: {"template": "/another", "pattern": "^/another$"},
    "rate": lambda row: {"rate": row.rate + 3},
    "burst": lambda row: {"burst": row.burst + 3},
    "body": lambda row: {"body": row.body + 4321},
    "groups": lambda row: None if row.any_principal else {"groups": (*row.groups, "zzz")},
    "scopes": lambda row: None if row.any_principal else {"scopes": (*row.scopes, "zzz:read")},
    "any_principal": lambda row: {"any_principal": not row.any_principal},
    "sign_in_age": lambda row: {"sign_in_age": 77},
}

KINDS_AND_FIELDS = list(itertools.product(KINDS, CHANGES))


@pytest.fixture(scope="module")
def gateway() -> Gateway:
    return examples.example()


@pytest.fixture(scope="module")
def renderings(gateway: Gateway) -> dict[str, dict[str, str]]:
    return {kind: render(kind, gateway) for kind in KINDS}


def changed(gateway: Gateway, field: str) -> Iterator[tuple[Route, Gateway]]:
    for index, row in enumerate(gateway.routes):
        change = CHANGES[field](row)
        if change is not None:
            yield row, replace(gateway, routes=(*gateway.routes[:index], replace(row, **change), *gateway.routes[index + 1 :]))


@pytest.mark.parametrize(("kind", "field"), KINDS_AND_FIELDS, ids=["-".join(each) for each in KINDS_AND_FIELDS])
def test_a_changed_row_changes_the_rendering(gateway: Gateway, renderings: Any, kind: str, field: str) -> None:
    seen = 0
    for row, other in changed(gateway, field):
        try:
            made = render(kind, other)
        except GatewayError:
            # What a gateway cannot express it does not keep silent about.
            continue
        assert made != renderings[kind], row.name
        seen += 1
    assert seen > len(gateway.routes) // 2


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_that_is_gone_or_new_changes_the_rendering(gateway: Gateway, renderings: Any, kind: str) -> None:
    for index, row in enumerate(gateway.routes):
        without = replace(gateway, routes=(*gateway.routes[:index], *gateway.routes[index + 1 :]))
        assert render(kind, without) != renderings[kind], row.name
    new = replace(gateway.routes[0], method="GET", template="/new", pattern="^/new$")
    assert render(kind, replace(gateway, routes=(*gateway.routes, new))) != renderings[kind]


@pytest.mark.parametrize("kind", KINDS)
def test_rows_that_functions_answer_are_named_and_not_there(gateway: Gateway, renderings: Any, kind: str) -> None:
    text = "".join(renderings[kind].values())
    for index, row in enumerate(gateway.elsewhere):
        assert f"{row.method} {row.template}" in text, row.name
        without = replace(gateway, elsewhere=(*gateway.elsewhere[:index], *gateway.elsewhere[index + 1 :]))
        assert render(kind, without) != renderings[kind], row.name


SETTINGS: dict[str, dict[str, Any]] = {
    "server_name": {"server_name": "another.example.org", "upstream_host": "another.example.org"},
    "upstream": {"upstream": "https://192.0.2.7:1234", "decision": "https://192.0.2.7:1235"},
    "allowed_ranges": {"allowed_ranges": ()},
    "client_rate": {"client_rate": 77},
    "sensitive_rate": {"sensitive_rate": 78},
}


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_changed_setting_changes_the_rendering(gateway: Gateway, renderings: Any, kind: str, setting: str) -> None:
    assert render(kind, replace(gateway, **SETTINGS[setting])) != renderings[kind]


@pytest.mark.parametrize("kind", KINDS)
def test_the_tracked_rendering_is_of_todays_policy(renderings: Any, kind: str) -> None:
    directory = examples.DIRECTORY / kind
    tracked = {
        str(file.relative_to(directory)): file.read_text(encoding="utf-8") for file in directory.rglob("*") if file.is_file()
    }
    assert tracked == renderings[kind], "python -m gateways.example"


PROTOCOLS = re.compile(r"(?im)^\s*(?:proxy_ssl_protocols|ssl_protocols(?: =)?|SSL(?:Proxy)?Protocol -all) (.+?);?$")


@pytest.mark.parametrize(("kind", "lines"), [("nginx", 2), ("apache", 2), ("kong", 2)])
def test_no_older_tls_is_named_to_callers_or_to_the_service(renderings: Any, kind: str, lines: int) -> None:
    """The system's OpenSSL may refuse older versions by itself, so that a handshake does not show what a rendering asks for."""
    named = [found for text in renderings[kind].values() for found in PROTOCOLS.findall(text)]
    assert [found.replace("+", "") for found in named] == ["TLSv1.2 TLSv1.3"] * lines


def test_the_policy_is_the_one_that_is_rendered(gateway: Gateway) -> None:
    assert gateway.routes == tuple(route(rule) for rule in ACCESS_POLICY if rule.answered_by == SERVICE)


@pytest.mark.parametrize("kind", KINDS)
def test_a_rendering_is_the_same_each_time_and_ends_in_a_newline(gateway: Gateway, renderings: Any, kind: str) -> None:
    assert render(kind, gateway) == renderings[kind]
    for name, text in renderings[kind].items():
        assert text.endswith("\n"), name
        assert not text.endswith("\n\n"), name


def test_the_verb_knows_all_kinds() -> None:
    assert sorted(Kind) == sorted(KINDS)
    with pytest.raises(GatewayError, match="nginx"):
        render("haproxy", examples.example())


def test_every_kind_is_written(tmp_path: Path) -> None:
    (tmp_path / "nginx").mkdir()
    (tmp_path / "nginx" / "old.conf").touch()
    written = examples.write(tmp_path, kinds=["nginx"])
    assert [str(file.relative_to(tmp_path)) for file in written] == ["nginx/heartmap.conf"]
    assert not (tmp_path / "nginx" / "old.conf").exists()


@pytest.mark.parametrize("text", ['a"b', "a\\b", "a$b", "a\nb", "a\x7fb", "é"], ids=range(6))
def test_what_quotes_would_not_keep_is_refused(text: str) -> None:
    with pytest.raises(GatewayError, match="cannot be written"):
        templates.double_quoted(text)


# Where it is put


def test_files_are_written_and_written_again(tmp_path: Path) -> None:
    for text in ("one\n", "two\n"):
        assert writing.write(tmp_path / "new", {"a": text, "b/c": text}, force=False) == [
            tmp_path / "new/a",
            tmp_path / "new/b/c",
        ]
        assert (tmp_path / "new/b/c").read_text() == text


@pytest.mark.parametrize("force", [False, True], ids=["kept", "forced"])
@pytest.mark.parametrize("what", ["foreign", "changed", "link"])
def test_what_is_not_as_it_was_written_is_replaced_by_force_only(tmp_path: Path, what: str, force: bool) -> None:
    if what == "changed":
        writing.write(tmp_path, {"a": "ours\n"}, force=False)
    other = tmp_path / "other"
    other.write_text("theirs\n")
    if what == "link":
        (tmp_path / "a").symlink_to(other)
    else:
        (tmp_path / "a").write_text("theirs\n")
    if force:
        writing.write(tmp_path, {"0": "new\n", "a": "new\n"}, force=True)
        assert (tmp_path / "a").read_text() == "new\n"
    else:
        with pytest.raises(GatewayError, match="--force"):
            writing.write(tmp_path, {"0": "new\n", "a": "new\n"}, force=False)
        assert (tmp_path / "a").read_text() == "theirs\n"
        assert not (tmp_path / "0").exists()
