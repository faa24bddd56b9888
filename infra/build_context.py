"""What the service's image is built from, as one word: the tag of the image.

A repository with immutable tags takes a tag once. awsx tags what it pushes with ``image_tag``, or else with a hash of the build's
arguments, which the second build would share with the first. So the tag has to change whenever docker-build, under awsx, builds
anew: when a file of the context, its mode, the Dockerfile or an argument does.
"""

import hashlib
import stat
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

TAG_PREFIX = "source-"
DIGITS = 40


class BuildContextError(ValueError):
    """The files that make up the image are not where the ignore file says."""


def source_tag(dockerfile: str, platform: str, root: Path = ROOT) -> str:
    """The tag of an image that is built from ``root`` as it is now.

    Args:
        dockerfile: its path within root; the ignore file beside it admits the files of the context, by lines with a "!".
        platform: as in ``linux/arm64``.

    Raises:
        BuildContextError: the ignore file admits nothing, does not exclude everything else, or admits what is not there.
    """
    digest = hashlib.sha256(platform.encode())
    digest.update(hashlib.sha256((root / dockerfile).read_bytes()).digest())
    for file in _context(root, root / f"{dockerfile}.dockerignore"):
        content = hashlib.sha256(file.read_bytes()).hexdigest()
        digest.update(f"\0{file.relative_to(root).as_posix()}\0{stat.filemode(file.stat().st_mode)}\0{content}".encode())
    return TAG_PREFIX + digest.hexdigest()[:DIGITS]


def _context(root: Path, ignore_file: Path) -> list[Path]:
    lines = [line.strip() for line in ignore_file.read_text(encoding="utf-8").splitlines()]
    patterns = [line for line in lines if line and not line.startswith("#")]
    admitted = [pattern.removeprefix("!") for pattern in patterns if pattern.startswith("!")]
    if patterns[:1] != ["*"] or len(patterns) != len(admitted) + 1 or not admitted:
        raise BuildContextError(f"{ignore_file.name} has to exclude * and then admit files by lines with a !")
    files: set[Path] = set()
    for pattern in admitted:
        found = [file for file in root.glob(pattern) if file.is_file()]
        if not found:
            raise BuildContextError(f"{ignore_file.name} admits {pattern}, which is not there")
        files.update(found)
    return sorted(files)
