"""What a package is made of: a bill of materials (CycloneDX 1.6) and a list of the licences with their texts.

Both say what is in the package, not what was asked for: each distribution by its metadata, and what was compiled into its
libraries by the bills that the distribution itself carries (PEP 770). The same package gives the same bytes.
"""

import hashlib
import json
import re
import uuid
from collections.abc import Mapping
from email.parser import BytesHeaderParser
from pathlib import Path
from typing import Any, NamedTuple

from lambda_authorizer.building.target import PackageError

_METADATA = re.compile(r"(?P<folder>[^/]+\.dist-info)/METADATA")
# Of the serial numbers; a name space of this project's own.
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "heartmap:deployment-packages")
_LICENCE_NOT_STATED = "not stated by its bill"


class _Distribution(NamedTuple):
    name: str
    version: str
    licence: str
    requires: frozenset[str]
    bundled: list[dict[str, Any]]
    texts: dict[str, str]

    @property
    def purl(self) -> str:
        return f"pkg:pypi/{self.name}@{self.version}"


def write(package: Path, name: str, contents: Mapping[str, bytes], requirements: str) -> tuple[Path, Path]:
    """Write ``<zip's name>.cdx.json`` and ``<zip's name>.licences.txt`` beside the zip at ``package`` and return their paths.

    ``name`` is what the application is called, ``contents`` are the zip's files, and ``requirements`` the pins, with hashes, that
    its distributions were installed by. Raises PackageError.
    """
    distributions = _distributions(contents)
    bill, licences = package.with_suffix(".cdx.json"), package.with_suffix(".licences.txt")
    document = _bill(name, hashlib.sha256(package.read_bytes()).hexdigest(), distributions, _pins(requirements))
    bill.write_text(json.dumps(document, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    licences.write_text(_licences(distributions), encoding="utf-8")
    return bill, licences


def _distributions(contents: Mapping[str, bytes]) -> list[_Distribution]:
    folders = [match["folder"] for match in map(_METADATA.fullmatch, sorted(contents)) if match]
    return [_distribution(folder, contents) for folder in folders]


def _distribution(folder: str, contents: Mapping[str, bytes]) -> _Distribution:
    metadata = BytesHeaderParser().parsebytes(contents[f"{folder}/METADATA"])
    name, licence = _normal(metadata["Name"]), metadata["License-Expression"]
    if licence is None:
        raise PackageError(f"{name} {metadata['Version']} states no licence expression (PEP 639): use a release that does.")
    bundled: dict[str, dict[str, Any]] = {}
    for path in sorted(path for path in contents if path.startswith(f"{folder}/sboms/")):
        for component in json.loads(contents[path])["components"]:
            bundled |= _bundled(component)
    return _Distribution(
        name,
        metadata["Version"],
        licence,
        frozenset(_normal(re.split(r"[^A-Za-z0-9._-]", line, maxsplit=1)[0]) for line in metadata.get_all("Requires-Dist", [])),
        [bundled[purl] for purl in sorted(bundled)],
        {path: contents[path].decode() for path in sorted(contents) if path.startswith(f"{folder}/licenses/")},
    )


def _bundled(component: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """A component of a distribution's own bill, by its address, without the paths and moments of its build."""
    # What follows '?' says where this build found it.
    purl = component["purl"].partition("?")[0]
    kept = {key: component[key] for key in ("type", "name", "version", "licenses", "hashes") if key in component}
    return {purl: {**kept, "bom-ref": purl, "purl": purl}}


def _normal(name: str) -> str:
    """A project's name in its normal form (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _pins(requirements: str) -> dict[str, list[str]]:
    """The SHA-256 hashes of the files that may be installed, by the distribution's ``name==version``."""
    pins: dict[str, list[str]] = {}
    hashes: list[str] = []
    for line in requirements.splitlines():
        if pin := re.match(r"([A-Za-z0-9._-]+)==([^\s;]+)", line):
            hashes = pins.setdefault(f"{_normal(pin[1])}=={pin[2]}", [])
        elif found := re.match(r"\s+--hash=sha256:([0-9a-f]{64})", line):
            hashes.append(found[1])
    return pins


def _bill(name: str, digest: str, distributions: list[_Distribution], pins: dict[str, list[str]]) -> dict[str, Any]:
    here = {each.name: each.purl for each in distributions}
    root = f"{name}@{digest}"
    edges = {root: sorted(here.values())}
    components: list[dict[str, Any]] = []
    for each in distributions:
        edges[each.purl] = sorted({here[name] for name in each.requires & here.keys()} | {part["purl"] for part in each.bundled})
        components += [_component(each, pins), *each.bundled]
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": uuid.uuid5(_NAMESPACE, digest).urn,
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": root,
                "name": name,
                "version": digest,
                "hashes": [{"alg": "SHA-256", "content": digest}],
            },
        },
        "components": components,
        "dependencies": [{"ref": ref, "dependsOn": needed} for ref, needed in sorted(edges.items())],
    }


def _component(distribution: _Distribution, pins: dict[str, list[str]]) -> dict[str, Any]:
    pin = f"{distribution.name}=={distribution.version}"
    if not pins.get(pin):
        raise PackageError(f"The package holds {pin}, which its requirements.txt does not: remove .tools and build it again.")
    return {
        "type": "library",
        "bom-ref": distribution.purl,
        "name": distribution.name,
        "version": distribution.version,
        "purl": distribution.purl,
        "licenses": [{"expression": distribution.licence}],
        "externalReferences": [
            {
                "type": "distribution",
                "url": distribution.purl,
                "comment": "Installed from one of the files with these hashes, the one for the package's target.",
                "hashes": [{"alg": "SHA-256", "content": content} for content in sorted(pins[pin])],
            }
        ],
    }


def _licences(distributions: list[_Distribution]) -> str:
    lines = ["What is in this package, and under which licence:", ""]
    for each in distributions:
        lines.append(f"{each.name} {each.version}: {each.licence}")
        lines += [f"    {part['name']} {part['version']}: {_stated(part)}" for part in each.bundled]
    for each in distributions:
        for path, text in each.texts.items():
            lines += ["", "=" * 100, path, "=" * 100, text.strip()]
    return "\n".join(lines) + "\n"


def _stated(component: Mapping[str, Any]) -> str:
    stated = [choice.get("expression") or _named(choice["license"]) for choice in component.get("licenses", [])]
    return " AND ".join(stated) or _LICENCE_NOT_STATED


def _named(licence: Mapping[str, str]) -> str:
    return licence.get("id") or licence["name"]
