"""Every relative link of every page leads to something that is there, and every anchor to a heading."""

from pathlib import Path

import pytest

from tests.docs.markdown import PROJECT, Link, page, pages

ELSEWHERE = ("https://", "http://", "mailto:")


def problem(link: Link) -> str:
    """What is wrong with a link, or nothing."""
    path, _, anchor = link.target.partition("#")
    there = (PROJECT / link.page.parent / path).resolve() if path else PROJECT / link.page
    if not there.is_relative_to(PROJECT) or not there.exists():
        return f"{link.target} is not there"
    if anchor and (there.suffix != ".md" or anchor not in page(str(there.relative_to(PROJECT))).anchors):
        return f"{link.target} has no such heading"
    return ""


RELATIVE = [link for each in pages() for link in each.links() if not link.target.startswith(ELSEWHERE)]


@pytest.mark.parametrize("name", sorted({str(each.path) for each in pages()}))
def test_every_relative_link_and_anchor_leads_somewhere(name: str) -> None:
    assert [found for link in RELATIVE if str(link.page) == name and (found := problem(link))] == []


def test_the_links_are_found() -> None:
    """An empty list would pass."""
    assert len(RELATIVE) > 100
    assert any(link.page == Path("README.md") for link in RELATIVE)


@pytest.mark.parametrize("target", ["nowhere.md", "../../../etc/passwd", "README.md#nowhere", "Makefile#help", "#nowhere"])
def test_a_link_to_nowhere_is_seen(target: str) -> None:
    assert problem(Link(Path("README.md"), "text", target, 0))


def test_every_page_of_the_documents_is_in_their_index() -> None:
    index = page("docs/README.md")
    listed = {(PROJECT / "docs" / link.target.partition("#")[0]).resolve() for link in index.links()}
    there = {PROJECT / each.path for each in pages() if each.path.parts[0] == "docs"} - {PROJECT / "docs" / "README.md"}
    assert sorted(map(str, there - listed)) == []
