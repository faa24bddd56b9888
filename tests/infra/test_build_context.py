import shutil
from pathlib import Path

import pytest

from infra.build_context import BuildContextError, source_tag
from infra.compute import DOCKERFILE, PLATFORM

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Another checkout of what the image is made from, with what is not part of it."""
    for name in ("heartmap_service", "lambda_authorizer"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / ".local").mkdir()
    (tmp_path / ".local" / "users.json").write_text("passwords")
    return tmp_path


def tag(root: Path) -> str:
    return source_tag(DOCKERFILE, PLATFORM, root)


def test_the_same_sources_elsewhere_have_the_same_tag_whatever_lies_beside_them(checkout: Path) -> None:
    assert tag(checkout) == tag(ROOT)
    (checkout / "heartmap_service" / "notes.txt").write_text("not part of the image")
    (checkout / "lambda_authorizer" / "requirements.in").write_text("")
    assert tag(checkout) == tag(ROOT)


@pytest.mark.parametrize(
    "file",
    [
        "heartmap_service/worker.py",
        "heartmap_service/requirements.txt",
        "heartmap_service/Dockerfile",
        "lambda_authorizer/assertion.py",
    ],
)
def test_another_content_is_another_tag(checkout: Path, file: str) -> None:
    path = checkout / file
    path.write_text(path.read_text() + "\n# changed\n")
    assert tag(checkout) != tag(ROOT)


def test_a_new_file_a_new_name_a_new_mode_and_another_platform_are_other_tags(checkout: Path) -> None:
    tags = [tag(checkout), source_tag(DOCKERFILE, "linux/amd64", checkout)]
    (checkout / "heartmap_service" / "new.py").write_text("")
    tags.append(tag(checkout))
    (checkout / "heartmap_service" / "new.py").rename(checkout / "heartmap_service" / "newer.py")
    tags.append(tag(checkout))
    (checkout / "heartmap_service" / "newer.py").chmod(0o755)
    tags.append(tag(checkout))
    assert len(set(tags)) == 5


@pytest.mark.parametrize(
    ("ignored", "reason"),
    [
        ("!heartmap_service/*.py\n", "has to exclude"),
        ("*\n", "has to exclude"),
        ("*\n!heartmap_service/*.py\nheartmap_service/warm.py\n", "has to exclude"),
        ("*\n!heartmap_service/*.rs\n", "which is not there"),
    ],
)
def test_an_ignore_file_that_says_something_else_than_what_is_admitted_is_refused(
    checkout: Path, ignored: str, reason: str
) -> None:
    (checkout / f"{DOCKERFILE}.dockerignore").write_text(ignored)
    with pytest.raises(BuildContextError, match=reason):
        tag(checkout)


def test_what_the_image_copies_is_in_its_context() -> None:
    admitted = [line[1:] for line in (ROOT / f"{DOCKERFILE}.dockerignore").read_text().splitlines() if line.startswith("!")]
    words = [line.split()[1:-1] for line in (ROOT / DOCKERFILE).read_text().splitlines() if line.startswith("COPY ")]
    for source in [word for copied in words for word in copied if not word.startswith(("--", "/"))]:
        assert any(pattern == source or pattern.startswith(source) for pattern in admitted), source
