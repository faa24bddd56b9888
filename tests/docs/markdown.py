"""What a Markdown page says: its anchors, its links, its tables' links and its blocks of code."""

import functools
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

PROJECT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Link:
    """``text`` as it is shown, ``target`` as it is written; ``row`` counts the table rows of the page, 0 outside of tables."""

    page: Path
    text: str
    target: str
    row: int


@dataclass(frozen=True)
class Page:
    """A page of the repository, by its path from the root."""

    path: Path
    tokens: tuple[Token, ...]

    @property
    def headings(self) -> list[str]:
        """The headings' text, in their order."""
        return [self.tokens[index + 1].content for index, token in enumerate(self.tokens) if token.type == "heading_open"]

    @property
    def anchors(self) -> set[str]:
        """Those of the headings as GitHub makes them."""
        found: set[str] = set()
        for heading in self.headings:
            slug = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
            number = 0
            while (slug if not number else f"{slug}-{number}") in found:
                number += 1
            found.add(slug if not number else f"{slug}-{number}")
        return found

    @property
    def blocks(self) -> list[tuple[str, str]]:
        """Fenced code: the language, and the text."""
        return [(token.info, token.content) for token in self.tokens if token.type == "fence"]

    def links(self) -> Iterator[Link]:
        row = rows = 0
        for token in self.tokens:
            if token.type == "tr_open":
                rows += 1
                row = rows
            elif token.type == "table_close":
                row = 0
            for text, target in _links_of(token.children or []):
                yield Link(self.path, text, target, row)

    def rows(self) -> list[list[str]]:
        """The cells of each table row below its heads, as they are written."""
        rows: list[list[str]] = []
        inside = False
        for index, token in enumerate(self.tokens):
            if token.type in ("tbody_open", "tbody_close"):
                inside = token.type == "tbody_open"
            elif inside and token.type == "tr_open":
                rows.append([])
            elif inside and token.type == "td_open":
                rows[-1].append(self.tokens[index + 1].content)
        return rows


def _links_of(children: list[Token]) -> Iterator[tuple[str, str]]:
    for index, child in enumerate(children):
        if child.type == "image":
            yield child.content, str(child.attrs["src"])
        elif child.type == "link_open":
            end = next(at for at in range(index, len(children)) if children[at].type == "link_close")
            yield "".join(each.content for each in children[index + 1 : end]), str(child.attrs["href"])


@functools.cache
def page(path: str) -> Page:
    """The page at that path from the repository's root. Raises OSError when there is none."""
    text = (PROJECT / path).read_text(encoding="utf-8")
    return Page(Path(path), tuple(MarkdownIt("commonmark").enable("table").parse(text)))


@functools.cache
def pages() -> tuple[Page, ...]:
    """Every page that is tracked, or would be."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return tuple(page(name) for name in sorted(set(listed.splitlines())) if (PROJECT / name).is_file())
