"""Every command and option of the help, and every heartmapctl line of the help texts and of the documents, as written."""

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
from typer.core import TyperCommand, TyperOption
from typer.testing import CliRunner

from lambda_audit.lines import FIELDS
from operator_cli.json_fields import DOCUMENTS
from operator_cli.main import app, leaves

PROJECT = Path(__file__).parents[2]
ROOT: Any = typer.main.get_command(app)
VERBS: dict[str, TyperCommand] = dict(leaves(ROOT))
SERVING = {"console", "tunnel"}
"""They print what they serve at, and serve."""
AS_ANSWERED = {"api"}

PAGES = [PROJECT / "README.md", *sorted((PROJECT / "docs").glob("*.md"))]
EXAMPLE = re.compile(r"^ *heartmapctl .*$", re.MULTILINE)
# A command in a fenced block, or between backquotes; what follows is another command's or the shell's.
FENCED = re.compile(r"^```.*?$(.*?)^```", re.MULTILINE | re.DOTALL)
LINE = re.compile(r"^\s*(?:\$ )?(?:[A-Z_]+=\S+ )*(?:\.venv/bin/)?heartmapctl\b(.*)$", re.MULTILINE)
INLINE = re.compile(r"`(?:[A-Z_]+=\S+ )*(?:\.venv/bin/)?heartmapctl (--?[a-z-]+[^`]*|[a-z][^`]*)`")
SUBSTITUTED = re.compile(r"\$\((?:\.venv/bin/)?heartmapctl ([^)]*)\)")
PLACEHOLDERS = {
    "ANALYSIS": "01J8ZQ4Y7M3W5X9K2B6C1D0EFG",
    "UPLOAD": "01J8ZQ4Y7M3W5X9K2B6C1D0EFG",
    "KEY_ID": "01J8ZQ4Y7M3W5X9K2B6C1D0EFG",
    "$upload": "01J8ZQ4Y7M3W5X9K2B6C1D0EFG",
    "$analysis": "01J8ZQ4Y7M3W5X9K2B6C1D0EFG",
    "VERSION": "3",
    "TYPE": "basic",
    "SCOPE": "analyses:read",
    "GROUP": "analyst",
}
"""What a document lets the reader fill in."""


def words_of(line: str) -> list[str]:
    """A line without its comment, and without what the shell does with the answer."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|;&<>()")
    lexer.whitespace_split = True
    words = []
    for word in lexer:
        if set(word) <= set("|;&<>()"):
            break
        words.append(PLACEHOLDERS.get(word, word))
    return words


def parsed(words: list[str]) -> str:
    """Parse a command line to its end, without running it; the verb. Raises typer.TyperException."""
    with ROOT.make_context("heartmapctl", list(words)) as context:
        command, rest, verb = ROOT, [*context._protected_args, *context.args], ""
        while rest:
            name, command, arguments = command.resolve_command(context, rest)
            verb = f"{verb} {name}".strip()
            context = command.make_context(name, arguments, parent=context)
            rest = [*context._protected_args, *context.args] if hasattr(command, "commands") else []
    assert not hasattr(command, "commands"), f"{verb or 'heartmapctl'} wants a command"
    return verb


def in_a_page(text: str) -> Iterator[str]:
    for block in FENCED.findall(text):
        for line in LINE.findall(block.replace("\\\n", " ")):
            yield line
    # What is cut short in a sentence is none to type.
    for line in (*SUBSTITUTED.findall(text), *INLINE.findall(FENCED.sub("", text))):
        if "…" not in line and "..." not in line:
            yield " ".join(line.split())


EXAMPLES = [(verb, line.strip()) for verb, command in VERBS.items() for line in EXAMPLE.findall(command.help or "")]
WRITTEN = [(page.relative_to(PROJECT), line.strip()) for page in PAGES for line in in_a_page(page.read_text())]


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_with_an_example_of_its_own(verb: str) -> None:
    result = CliRunner().invoke(app, [*verb.split(), "--help"], catch_exceptions=False)
    assert result.exit_code == 0
    examples = EXAMPLE.findall(result.stdout)
    assert any(verb.split()[-1] in line.split()[1:] for line in examples), "it has no example"


@pytest.mark.parametrize("verb", VERBS)
def test_every_option_and_argument_is_explained(verb: str) -> None:
    shown = CliRunner().invoke(app, [*verb.split(), "--help"]).stdout
    for parameter in VERBS[verb].params:
        assert getattr(parameter, "help", None), parameter.name
        if isinstance(parameter, TyperOption):
            assert max(parameter.opts, key=len) in shown
    assert {"--environment", "--json"} <= {name for each in VERBS[verb].params for name in each.opts}


@pytest.mark.parametrize("verb", sorted(set(VERBS) - SERVING - AS_ANSWERED))
def test_the_help_names_the_json_fields(verb: str) -> None:
    shown = CliRunner().invoke(app, [*verb.split(), "--help"]).stdout
    assert "--fields NAME,..." in shown
    told = " ".join(shown.split())
    assert DOCUMENTS[verb].told in told


def test_no_document_is_of_a_verb_that_is_not_there() -> None:
    assert set(DOCUMENTS) <= set(VERBS)


@pytest.mark.parametrize("group", [name for name, command in ROOT.commands.items() if hasattr(command, "commands")])
def test_every_group_has_help(group: str) -> None:
    result = CliRunner().invoke(app, [group, "--help"], catch_exceptions=False)
    assert result.exit_code == 0
    assert all(name in result.stdout for name in ROOT.commands[group].commands)


@pytest.mark.parametrize(("verb", "line"), EXAMPLES, ids=lambda value: value)
def test_every_example_parses_as_written(verb: str, line: str) -> None:
    assert parsed(words_of(line)[1:]).startswith(verb.split()[0])


@pytest.mark.parametrize(("page", "line"), WRITTEN, ids=str)
def test_every_line_of_the_documents_parses_as_written(page: Path, line: str) -> None:
    named = line in VERBS or line in ROOT.commands
    if not named:
        parsed(words_of(line))


def test_the_documents_are_found() -> None:
    """An empty list would pass."""
    assert len(WRITTEN) > 20
    assert (Path("README.md"), "login --as analyst          # without --as: in the browser") in WRITTEN


@pytest.mark.parametrize(
    "words", ["", "nonsense", "jobs", "jobs nonsense", "jobs list --nonsense", "analyze x.h5ad", "config set"]
)
def test_what_does_not_parse_is_seen(words: str) -> None:
    with pytest.raises((typer.TyperException, AssertionError)):
        parsed(words.split())


@pytest.mark.parametrize("name", ["Overview", "Analysis"])
def test_the_fields_are_those_of_the_api(name: str) -> None:
    schema = json.loads((PROJECT / "docs" / "openapi.json").read_text())["components"]["schemas"][name]
    verb = {"Overview": "jobs list", "Analysis": "jobs show"}[name]
    assert set(DOCUMENTS[verb].fields) == set(schema["properties"])


def test_the_fields_of_a_record_are_those_of_the_audit() -> None:
    for verb in ("audit search", "audit tail"):
        assert set(DOCUMENTS[verb].fields) == {"time", "stream", *FIELDS}
