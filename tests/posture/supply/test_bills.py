"""The bills of materials, and the licences in them."""

import dataclasses
import json
import zipfile
from collections.abc import Mapping
from email.message import Message
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from posture import check
from posture.plan import ROOT, plan_of
from posture.supply import bills, imports, licences
from posture.supply.bills import Deployable, Part
from posture.verdict import Result


@pytest.fixture(scope="module")
def deployables(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Deployable]:
    return {one.name: one for one in bills.everything(tmp_path_factory.mktemp("packages"))}


def some(deployable: Deployable) -> Deployable:
    """A few of each kind: the schema's validator takes seconds for a whole one."""
    parts = {*deployable.parts[:3], *deployable.parts[-3:]}
    return dataclasses.replace(deployable, parts=tuple(sorted(parts)), files=dict(list(deployable.files.items())[:2]))


def test_each_follows_the_schema_and_is_the_same_each_time(deployables: Mapping[str, Deployable]) -> None:
    validator = JsonStrictValidator(SchemaVersion.V1_6)
    for name in ("function authorizer", "service image", "heartmapctl"):
        assert validator.validate_str(bills.render(some(deployables[name]))) is None, name
    assert all(bills.render(one) == bills.render(one) for one in deployables.values())


def test_everything_that_is_deployed_or_installed_has_one(deployables: Mapping[str, Deployable]) -> None:
    handlers = {function.inputs["handler"].split(".")[0] for function in plan_of("prod").of("lambda/function:Function")}
    assert {f"function {handler.removeprefix('lambda_')}" for handler in handlers} | {"service image", "heartmapctl"} == set(
        deployables
    )


def test_the_image_has_what_it_installs_and_its_base(deployables: Mapping[str, Deployable]) -> None:
    bill = json.loads(bills.render(deployables["service image"]))
    components = {one["bom-ref"]: one for one in bill["components"]}
    lock = (ROOT / "heartmap_service/requirements.txt").read_text()
    heartmap = components["pkg:pypi/heartmap@2.0.2"]
    assert heartmap["licenses"] == [{"expression": "Apache-2.0"}]
    assert all(one["content"] in lock for one in heartmap["externalReferences"][0]["hashes"])
    assert not any("colorama" in ref or "anndata@0.13" in ref for ref in components), (
        "what only another platform installs is there"
    )
    assert (
        components["container:python:3.11-slim-bookworm"]["hashes"][0]["content"]
        in (ROOT / "heartmap_service/Dockerfile").read_text()
    )
    assert bill["dependencies"][0]["dependsOn"] == sorted(components)


def test_heartmapctl_has_what_it_imports_and_what_its_page_is_built_from(deployables: Mapping[str, Deployable]) -> None:
    names = {(part.kind, part.name) for part in deployables["heartmapctl"].parts}
    assert {("pypi", "typer"), ("pypi", "click"), ("pypi", "httpx"), ("npm", "react"), ("npm", "@deck.gl/core")} <= names
    assert not {("npm", "vitest"), ("pypi", "pytest"), ("pypi", "scanpy")} & names


def test_a_function_has_the_distributions_and_files_in_its_zip(deployables: Mapping[str, Deployable], tmp_path: Path) -> None:
    assert [part.name for part in deployables["function authorizer"].parts] == ["cffi", "cryptography"]
    package = tmp_path / "spam-00.zip"
    with zipfile.ZipFile(package, "w") as zipped:
        zipped.writestr("spam_ham-1.dist-info/METADATA", "Metadata-Version: 2.4\nName: Spam_Ham\nVersion: 1\n\n")
    spam = bills.function(package)
    assert spam.parts == (Part("pypi", "spam-ham", "1", licences.NOT_STATED),)
    assert list(spam.files) == ["spam_ham-1.dist-info/METADATA"]
    assert bills.refused(spam) != []


def test_every_licence_is_allowed_for_a_reason(deployables: Mapping[str, Deployable]) -> None:
    assert [text for one in deployables.values() for text in bills.refused(one)] == []
    assert all(len(rule["reason"]) > 20 for rule in licences.rules()["allowed"].values())


def test_no_package_is_read_by_hand_that_is_not_there(deployables: Mapping[str, Deployable]) -> None:
    there = {part.name for one in deployables.values() for part in one.parts}
    assert licences.rules()["read_by_hand"].keys() <= there
    assert {name for rule in licences.rules()["allowed"].values() for name in rule.get("only", ())} <= there


@pytest.mark.parametrize(
    ("name", "licence", "refused"),
    [
        ("a", "MIT", False),
        ("a", "GPL-3.0-or-later", True),
        ("leidenalg", "GPL-3.0-or-later", False),
        ("a", "MIT OR GPL-3.0-or-later", False),
        ("a", "MIT AND GPL-3.0-or-later", True),
        ("a", "AGPL-3.0-only", True),
        ("a", "Apache-2.0 WITH LLVM-exception", False),
        ("a", "a licence of our own", True),
        ("a", licences.NOT_STATED, True),
    ],
)
def test_a_licence_that_is_not_on_the_list_or_for_others_is_refused(name: str, licence: str, refused: bool) -> None:
    assert bool(licences.refused(name, licence, licences.rules()["allowed"])) is refused


def stating(**headers: str) -> Message:
    message = Message()
    for name, value in headers.items():
        message[name.replace("_", "-")] = value
    return message


def test_a_licence_is_what_a_package_states_and_never_guessed() -> None:
    assert licences.of("a", stating(License_Expression="MIT"), {}) == "MIT"
    assert licences.of("a", stating(License="Apache-2.0"), {}) == "Apache-2.0"
    assert licences.of("a", stating(Classifier="License :: OSI Approved :: MIT License"), {}) == "MIT"
    assert (
        licences.of("a", stating(License="BSD", Classifier="License :: OSI Approved :: BSD License"), {}) == licences.NOT_STATED
    )
    assert licences.of("a", stating(License="BSD"), {"a": "BSD-3-Clause"}) == "BSD-3-Clause"


def test_a_refused_licence_is_a_line_that_fails(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    bad = Deployable("it", (Part("pypi", "a", "1", "AGPL-3.0-only"),), {})
    monkeypatch.setattr(bills, "everything", lambda _: [bad])
    assert [row.result for row in check.materials(tmp_path)] == [Result.PASS, Result.FAIL]
    assert json.loads((tmp_path / "it.cdx.json").read_text())["components"][0]["licenses"] == [{"expression": "AGPL-3.0-only"}]


def test_the_image_is_not_described_by_what_happens_to_be_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(bills.BillError, match="the image has 0"):
        bills._installed("heartmap", "0", (), {})  # pyright: ignore[reportPrivateUsage]


def test_another_part_gives_another_bill(deployables: Mapping[str, Deployable]) -> None:
    image = deployables["service image"]
    assert bills.render(dataclasses.replace(image, parts=image.parts[1:])) != bills.render(image)


def test_imports_are_followed_through_our_own_modules() -> None:
    found = imports.distributions("lambda_keys")
    assert "cryptography" in found  # by lambda_authorizer.signature
    assert "typer" not in found
