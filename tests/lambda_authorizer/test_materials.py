"""The bill of materials and the licences beside the package."""

import hashlib
import json
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

from lambda_authorizer import package
from lambda_authorizer.building import materials
from lambda_authorizer.building.target import PackageError, Target

AWS = Target("3.13", "manylinux_2_28_aarch64")
METADATA = b"""Metadata-Version: 2.4
Name: Spam_Ham
Version: 1.2
License-Expression: MIT
Requires-Dist: eggs.core>=1 ; extra == 'x'

Text
"""
EGGS = b"Metadata-Version: 2.4\nName: eggs-core\nVersion: 3\nLicense-Expression: ISC\n\n"
CONTENTS = {
    "spam_ham-1.2.dist-info/METADATA": METADATA,
    "spam_ham-1.2.dist-info/licenses/LICENSE": b"Do as you like.\n",
    "eggs_core-3.dist-info/METADATA": EGGS,
}
PINS = f"""spam-ham==1.2 ; python_version > '3' \\
    --hash=sha256:{"a" * 64} \\
    --hash=sha256:{"b" * 64}
eggs-core==3 \\
    --hash=sha256:{"c" * 64}
"""


@pytest.fixture(scope="module")
def zipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return package.build(tmp_path_factory.mktemp("package"), key_set=b'{"keys": []}', target=AWS)


@pytest.fixture(scope="module")
def bill(zipped: Path) -> dict[str, Any]:
    return json.loads(zipped.with_suffix(".cdx.json").read_text())


def write(folder: Path, contents: Mapping[str, bytes] = CONTENTS, pins: str = PINS, zip_bytes: bytes = b"zip") -> dict[str, Any]:
    path = folder / "package.zip"
    path.write_bytes(zip_bytes)
    return json.loads(materials.write(path, "spam", contents, pins)[0].read_text())


def test_it_follows_the_schema(zipped: Path) -> None:
    text = zipped.with_suffix(".cdx.json").read_text()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text.replace('"library"', '"no type"')) is not None


def test_it_names_the_package_that_it_describes(zipped: Path, bill: dict[str, Any]) -> None:
    digest = hashlib.sha256(zipped.read_bytes()).hexdigest()
    application = bill["metadata"]["component"]
    assert zipped.name == f"authorizer-{digest}.zip"
    assert (application["version"], application["hashes"]) == (digest, [{"alg": "SHA-256", "content": digest}])


def test_every_distribution_of_the_package_is_in_it_as_it_was_pinned(zipped: Path, bill: dict[str, Any]) -> None:
    archive = zipfile.ZipFile(zipped)
    installed = {name.split("-")[0] for name in archive.namelist() if ".dist-info/" in name}
    # Whatever can be imported belongs to one of them, or is the project's own.
    assert {name.split("/")[0].split(".")[0] for name in archive.namelist() if ".dist-info" not in name} == {
        "lambda_authorizer",
        "cryptography",
        "_cffi_backend",
    }
    python = {each["name"]: each for each in bill["components"] if each["purl"].startswith("pkg:pypi/")}
    assert set(python) == installed == {"cffi", "cryptography"}
    pins = Path(package.__file__).with_name("requirements.txt").read_text()
    for name, component in python.items():
        block = re.search(rf"^{name}==({re.escape(component['version'])})\b.*?\n(?=\S|\Z)", pins, re.MULTILINE | re.DOTALL)
        assert block
        hashes = [entry["content"] for entry in component["externalReferences"][0]["hashes"]]
        assert hashes
        assert hashes == sorted(re.findall(r"sha256:([0-9a-f]{64})", block[0]))


def test_what_was_compiled_into_the_libraries_is_in_it_too(bill: dict[str, Any]) -> None:
    by_address = {each["purl"]: each for each in bill["components"]}
    (openssl,) = [each for purl, each in by_address.items() if purl.startswith("pkg:generic/openssl@")]
    assert re.fullmatch(r"\d+\.\d+\.\d+", openssl["version"])
    (cryptography,) = [purl for purl in by_address if purl.startswith("pkg:pypi/cryptography@")]
    (edges,) = [each["dependsOn"] for each in bill["dependencies"] if each["ref"] == cryptography]
    assert openssl["purl"] in edges
    assert any(purl.startswith("pkg:cargo/openssl-sys@") for purl in edges)


def test_every_address_can_be_read_and_every_edge_leads_somewhere(bill: dict[str, Any]) -> None:
    references = {bill["metadata"]["component"]["bom-ref"]} | {each["bom-ref"] for each in bill["components"]}
    for each in bill["components"]:
        address = PackageURL.from_string(each["purl"])
        assert (address.name, address.version) == (each["name"], each["version"])
    assert all({edge["ref"], *edge["dependsOn"]} <= references for edge in bill["dependencies"])
    reached: set[str] = set()
    edges = {edge["ref"]: edge["dependsOn"] for edge in bill["dependencies"]}
    waiting = [bill["metadata"]["component"]["bom-ref"]]
    while waiting:
        reference = waiting.pop()
        if reference not in reached:
            reached.add(reference)
            waiting += edges.get(reference, [])
    assert reached == references


def test_the_same_package_has_the_same_bill_and_another_one_another_number(tmp_path: Path, zipped: Path) -> None:
    again = package.build(tmp_path, key_set=b'{"keys": []}', target=AWS)
    for suffix in (".cdx.json", ".licences.txt"):
        assert again.with_suffix(suffix).read_bytes() == zipped.with_suffix(suffix).read_bytes()
    assert "timestamp" not in again.with_suffix(".cdx.json").read_text()
    numbers = {write(tmp_path, zip_bytes=text)["serialNumber"] for text in (b"one", b"two", b"one")}
    assert len(numbers) == 2


def test_neither_names_the_machine_that_built_something(zipped: Path) -> None:
    for suffix in (".cdx.json", ".licences.txt"):
        text = zipped.with_suffix(suffix).read_text()
        assert str(zipped.parent) not in text
        assert "file:" not in text


def test_the_licences_are_listed_with_their_texts(zipped: Path) -> None:
    text = zipped.with_suffix(".licences.txt").read_text()
    assert re.search(r"^cryptography [\d.]+: Apache-2\.0 OR BSD-3-Clause$", text, re.MULTILINE)
    assert re.search(r"^cffi [\d.]+: MIT-0$", text, re.MULTILINE)
    archive = zipfile.ZipFile(zipped)
    texts = [name for name in archive.namelist() if "/licenses/" in name]
    assert texts
    assert all(name in text and archive.read(name).decode().strip() in text for name in texts)


def test_only_a_licence_known_to_be_unstated_is_unstated(zipped: Path) -> None:
    text = zipped.with_suffix(".licences.txt").read_text()
    assert {line.split()[0] for line in text.splitlines() if line.endswith(": not stated by its bill")} == {"openssl"}


def test_a_name_is_the_same_however_it_is_written(tmp_path: Path) -> None:
    bill = write(tmp_path)
    assert [each["purl"] for each in bill["components"]] == ["pkg:pypi/eggs-core@3", "pkg:pypi/spam-ham@1.2"]
    assert {"ref": "pkg:pypi/spam-ham@1.2", "dependsOn": ["pkg:pypi/eggs-core@3"]} in bill["dependencies"]


def test_a_distribution_without_a_licence_is_refused(tmp_path: Path) -> None:
    unlicensed = {**CONTENTS, "eggs_core-3.dist-info/METADATA": EGGS.replace(b"License-Expression: ISC\n", b"")}
    with pytest.raises(PackageError, match="eggs-core 3 states no licence expression"):
        write(tmp_path, unlicensed)


def test_a_distribution_that_is_not_pinned_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PackageError, match=r"holds eggs-core==3, which its requirements\.txt does not"):
        write(tmp_path, pins=PINS.replace("eggs-core==3", "eggs-core==2"))
