"""Bills of materials (CycloneDX 1.6) of what is deployed and installed: the functions' zips, the image, heartmapctl.

They say what is there: the files of a zip, the pins that the image installs on its platform, the distributions that heartmapctl's
modules import, the packages that the console's page is built from. The same sources give the same bytes.
"""

import hashlib
import importlib
import json
import re
import uuid
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from email.parser import BytesHeaderParser
from importlib import metadata
from pathlib import Path
from typing import Any

from packageurl import PackageURL
from packaging.requirements import Requirement

from infra.functions import AWS_TARGET
from posture.plan import ROOT
from posture.supply import imports, licences
from posture.supply.audits import PACKAGE_LOCK
from posture.supply.pins import DIGEST, DOCKERFILE

IMAGE_LOCK = ROOT / "heartmap_service" / "requirements.txt"
IMAGE_PLATFORM = {
    "sys_platform": "linux",
    "platform_system": "Linux",
    "os_name": "posix",
    "platform_machine": "aarch64",
    "python_version": "3.11",
    "python_full_version": "3.11.0",
    "implementation_name": "cpython",
    "platform_python_implementation": "CPython",
}
"""What the tasks run on (infra/compute.py), as markers of requirements name it."""
CLI = "operator_cli"
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "heartmap:bills-of-materials")
_METADATA = re.compile(r"[^/]+\.dist-info/METADATA")


@dataclass(frozen=True, order=True)
class Part:
    """A package in a deployable. ``licence`` is an SPDX expression, ``hashes`` are SHA-256 of files that it may come from."""

    kind: str
    name: str
    version: str
    licence: str
    hashes: tuple[str, ...] = ()

    @property
    def purl(self) -> PackageURL:
        if self.kind == "npm" and "/" in self.name:
            scope, name = self.name.split("/")
            return PackageURL(self.kind, scope, name, self.version)
        return PackageURL(self.kind, None, self.name, self.version)


@dataclass(frozen=True)
class Deployable:
    """Something that is deployed or installed: its parts, the SHA-256 of its own files by their path, and what it stands on."""

    name: str
    parts: tuple[Part, ...]
    files: Mapping[str, str]
    base: str = ""


class BillError(Exception):
    """A bill cannot be made. The text says why and what to do."""


def everything(scratch: Path) -> list[Deployable]:
    """All of them. The functions' zips are built into ``scratch``, for Lambda. Raises BillError, and package.PackageError."""
    return [*map(function, _zips(scratch)), image(), heartmapctl()]


def _zips(scratch: Path) -> list[Path]:
    """One for each folder that builds a function's package."""
    made = []
    for file in sorted(ROOT.glob("lambda_*/package.py")):
        module = importlib.import_module(f"{file.parent.name}.package")
        if file.parent.name == "lambda_authorizer":
            # The key set is the user pool's, which there is not yet; it is data, and no material.
            made.append(module.build(scratch, key_set=b'{"keys": []}', target=AWS_TARGET))
        elif file.parent.name != "lambda_api":
            made.append(module.build(scratch, target=AWS_TARGET))
    return made


def function(package: Path) -> Deployable:
    """A function's zip: what is in it. The name of the zip is the function's and the hash of its bytes."""
    by_hand = licences.rules()["read_by_hand"]
    parts, files = [], {}
    with zipfile.ZipFile(package) as zipped:
        for path in sorted(zipped.namelist()):
            content = zipped.read(path)
            files[path] = hashlib.sha256(content).hexdigest()
            if _METADATA.fullmatch(path):
                told = BytesHeaderParser().parsebytes(content)
                name = imports.normal(told["Name"])
                parts.append(Part("pypi", name, told["Version"], licences.of(name, told, by_hand)))
    return Deployable(f"function {package.name.rsplit('-', 1)[0]}", tuple(sorted(parts)), files)


def image() -> Deployable:
    """The service's image: its base, its pins on the tasks' platform, and our modules."""
    by_hand = licences.rules()["read_by_hand"]
    pins = [pin for pin in _pins(IMAGE_LOCK) if pin[0].marker is None or pin[0].marker.evaluate(IMAGE_PLATFORM)]
    parts = [_installed(imports.normal(pin.name), str(pin.specifier)[2:], hashes, by_hand) for pin, hashes in pins]
    base = next(iter(DIGEST.findall(DOCKERFILE.read_text(encoding="utf-8"))))
    return Deployable("service image", tuple(sorted(parts)), _sources("heartmap_service", "lambda_authorizer"), base)


def heartmapctl() -> Deployable:
    """heartmapctl with the console's page: what it imports and what the page is built from."""
    by_hand = licences.rules()["read_by_hand"]
    hashes = {imports.normal(pin.name): hashes for pin, hashes in _pins(ROOT / "requirements.txt")}
    parts = [
        Part("pypi", name, one.version, licences.of(name, _headers(one), by_hand), hashes.get(name, ()))
        for name, one in imports.distributions(CLI).items()
    ]
    return Deployable("heartmapctl", tuple(sorted([*parts, *page()])), _sources(CLI))


def page() -> list[Part]:
    """The packages that the console's page is built from; those that only build or test it are not in it."""
    packages = json.loads(PACKAGE_LOCK.read_text(encoding="utf-8"))["packages"]
    # One that several others have brought along is there once.
    return sorted(
        {
            Part("npm", path.rsplit("node_modules/", 1)[-1], one["version"], one.get("license", licences.NOT_STATED))
            for path, one in packages.items()
            if path and not one.get("dev")
        }
    )


def refused(deployable: Deployable) -> list[str]:
    """The parts whose licence is not known, or may not be there."""
    allowed = licences.rules()["allowed"]
    return [text for part in deployable.parts if (text := licences.refused(part.name, part.licence, allowed))]


def render(deployable: Deployable) -> str:
    """The bill as JSON."""
    digest = hashlib.sha256(repr((deployable.name, deployable.parts, sorted(deployable.files.items()))).encode()).hexdigest()
    components = [*map(_component, deployable.parts), *(_hashed("file", path, one) for path, one in deployable.files.items())]
    if deployable.base:
        components.append(_hashed("container", *deployable.base.split("@sha256:")))
    components.sort(key=lambda one: one["bom-ref"])
    root = {"type": "application", "bom-ref": deployable.name, "name": deployable.name, "version": digest[:16]}
    document = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": uuid.uuid5(_NAMESPACE, digest).urn,
        "version": 1,
        "metadata": {"component": root},
        "components": components,
        "dependencies": [{"ref": deployable.name, "dependsOn": [one["bom-ref"] for one in components]}],
    }
    return json.dumps(document, indent=2, sort_keys=True) + "\n"


def _component(part: Part) -> dict[str, Any]:
    purl = part.purl.to_string()
    component: dict[str, Any] = {
        "type": "library",
        "bom-ref": purl,
        "name": part.name,
        "version": part.version,
        "purl": purl,
    }
    if part.licence != licences.NOT_STATED:
        component["licenses"] = [{"expression": part.licence}]
    if part.hashes:
        component["externalReferences"] = [
            {
                "type": "distribution",
                "url": purl,
                "comment": "Installed from one of the files with these hashes.",
                "hashes": [_sha256(value) for value in sorted(part.hashes)],
            }
        ]
    return component


def _hashed(kind: str, name: str, digest: str) -> dict[str, Any]:
    return {"type": kind, "bom-ref": f"{kind}:{name}", "name": name, "hashes": [_sha256(digest)]}


def _sha256(value: str) -> dict[str, str]:
    return {"alg": "SHA-256", "content": value}


def _pins(lock: Path) -> list[tuple[Requirement, tuple[str, ...]]]:
    """Each pin of a requirements file with the hashes of its files."""
    lines = re.sub(r"\\\n\s*", " ", lock.read_text(encoding="utf-8")).splitlines()
    return [
        (Requirement(line.split(" --hash")[0].strip()), tuple(re.findall(r"--hash=sha256:([0-9a-f]{64})", line)))
        for line in lines
        if line.strip() and not line.lstrip().startswith("#")
    ]


def _installed(name: str, version: str, hashes: tuple[str, ...], by_hand: Mapping[str, str]) -> Part:
    found = metadata.distribution(name)
    if found.version != version:
        raise BillError(f"{name} {found.version} is installed here, and the image has {version}: run make lock, then install")
    return Part("pypi", name, version, licences.of(name, _headers(found), by_hand), hashes)


def _headers(distribution: metadata.Distribution) -> Any:
    return distribution.metadata


def _sources(*packages: str) -> dict[str, str]:
    """Our own modules, and the page where it is built."""
    found = sorted(path for package in packages for path in (ROOT / package).rglob("*") if _is_source(path))
    return {path.relative_to(ROOT).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in found}


def _is_source(path: Path) -> bool:
    return path.is_file() and "__pycache__" not in path.parts
