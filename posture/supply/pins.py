"""What is taken from others is pinned: actions by a commit, images by a digest, distributions and packages by hashes."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from posture.plan import ROOT
from posture.supply.audits import PACKAGE_LOCK, requirements_files

WORKFLOWS = ROOT / ".github" / "workflows"
DOCKERFILE = ROOT / "heartmap_service" / "Dockerfile"

COMMIT = re.compile(r"[\w.-]+(/[\w.-]+)+@[0-9a-f]{40}")
DIGEST = re.compile(r"[^@\s]+@sha256:[0-9a-f]{64}")
_FROM = re.compile(r"^FROM\s+(?:--\S+\s+)*(\S+)(?:\s+AS\s+(\S+))?\s*$", re.IGNORECASE | re.MULTILINE)
_COPIED_FROM = re.compile(r"^COPY\s+(?:--\S+\s+)*--from=(\S+)", re.IGNORECASE | re.MULTILINE)
_PIN = re.compile(r"^[A-Za-z0-9._\[\],-]+==", re.MULTILINE)


def actions(name: str, workflow: Any) -> Iterator[str]:
    """Each action and container of a workflow that is not pinned. What stands in this repository needs no pin."""
    for key, value in _pairs(workflow):
        if key == "uses" and not str(value).startswith("./") and not COMMIT.fullmatch(str(value)):
            yield f"{name}: {value} is not pinned by the SHA of a commit"
        image = value.get("image") if key == "container" and isinstance(value, dict) else value
        if key in ("container", "image") and isinstance(image, str) and not DIGEST.fullmatch(image):
            yield f"{name}: {image} is not pinned by a digest"


def images(dockerfile: str) -> Iterator[str]:
    """Each base of a Dockerfile that is neither pinned by a digest nor one of its own stages."""
    stages: set[str] = set()
    for base, stage in _FROM.findall(dockerfile):
        if base not in stages and not DIGEST.fullmatch(base):
            yield f"FROM {base} is not pinned by a digest"
        stages.add(stage)
    yield from (
        f"COPY --from={image} is not pinned by a digest"
        for image in _COPIED_FROM.findall(dockerfile)
        if image not in stages and not DIGEST.fullmatch(image)
    )


def requirements(name: str, text: str) -> Iterator[str]:
    """Each line of a requirements file that is not one version with its hashes."""
    for line in re.sub(r"\\\n\s*", " ", text).splitlines():
        if line.strip() and not line.lstrip().startswith("#") and not (_PIN.match(line) and "--hash=sha256:" in line):
            yield f"{name}: {line.split(' --hash')[0].strip()} is not pinned with a hash"


def packages(name: str, text: str) -> Iterator[str]:
    """Each package of an npm lock without the hash of what is installed."""
    for path, package in json.loads(text)["packages"].items():
        if path and not str(package.get("integrity", "")).startswith("sha512-"):
            yield f"{name}: {path} has no hash"


def findings() -> list[str]:
    """What is not pinned in the repository."""
    found = [text for path in workflows() for text in actions(path.name, yaml.safe_load(path.read_text(encoding="utf-8")))]
    found += images(DOCKERFILE.read_text(encoding="utf-8"))
    for path in requirements_files():
        found += requirements(path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8"))
    return found + list(packages("console/package-lock.json", PACKAGE_LOCK.read_text(encoding="utf-8")))


def workflows() -> list[Path]:
    """The workflow files, which end in .yml here."""
    return sorted(WORKFLOWS.glob("*.yml"))


def _pairs(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield str(key), item
            yield from _pairs(item)
    elif isinstance(value, list):
        for item in value:
            yield from _pairs(item)
