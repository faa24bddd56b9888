"""Every statement of the threat model and of HeartMAP's checklist names a test: it is there, runs, and a breakage turns it red.

That it does so is tried by `make claims`.
"""

import ast
import functools
import itertools
import re
from pathlib import Path

import pytest

from tests.docs.breakages.__main__ import not_green, not_red
from tests.docs.breakages.table import Breakage, Edit, load
from tests.docs.breakages.verdict import verdict
from tests.docs.markdown import PROJECT, page

PAGES = ("docs/threat-model.md", "docs/heartmap-checklist.md")
REFERENCE = re.compile(r"(tests/[\w/]+\.py)::(test_\w+)")
SKIP = re.compile(r"\bpytest\.(mark\.)?(skip|skipif|xfail|importorskip)\b")
Function = ast.FunctionDef | ast.AsyncFunctionDef

# They need an environment or the engine: `make claims` runs the others alone.
DEPLOYED = ("tests/e2e/", "tests/engine/")
BREAKAGES = load()


def references(text: str) -> list[tuple[str, str]]:
    """The tests that a text names, as path and function."""
    return REFERENCE.findall(text)


TESTS = {
    row[0]: [f"{path}::{test}" for path, test in references(row[-1])]
    for name in PAGES
    for row in page(name).rows()
    if re.fullmatch(r"[A-Z]+\d+", row[0])
}
"""What each row names."""


@functools.cache
def module(path: str) -> ast.Module:
    return ast.parse((PROJECT / path).read_text(encoding="utf-8"))


def skipped(tree: ast.Module, name: str) -> bool:
    """Whether a test may be left out: by a mark of its own, of a name or of its module, or by a call of pytest.skip."""
    function = next(one for one in ast.walk(tree) if isinstance(one, Function) and one.name == name)
    assigned = {ast.unparse(one.targets[0]): ast.unparse(one.value) for one in tree.body if isinstance(one, ast.Assign)}
    written = [ast.unparse(mark) for mark in function.decorator_list]
    marks = [*(assigned.get(mark, mark) for mark in written), assigned.get("pytestmark", "")]
    calls = {ast.unparse(node.func) for node in ast.walk(function) if isinstance(node, ast.Call)}
    of_the_module = {ast.unparse(one.value) for one in tree.body if isinstance(one, ast.Expr)}
    return bool(SKIP.search("\n".join([*marks, *calls, *of_the_module])))


def problem(path: str, name: str) -> str:
    """What is wrong with a reference, or nothing."""
    if not (PROJECT / path).is_file():
        return f"{path} is not there"
    if not any(isinstance(one, Function) and one.name == name for one in ast.walk(module(path))):
        return f"{path} has no {name}"
    return f"{path}::{name} may be skipped" if skipped(module(path), name) else ""


@pytest.mark.parametrize("name", PAGES)
def test_every_row_names_a_test_that_is_there_and_runs(name: str) -> None:
    rows = [row for row in page(name).rows() if re.fullmatch(r"[A-Z]+\d+", row[0])]
    assert len(rows) > 15
    assert [row[0] for row in rows if not references(row[-1])] == []
    assert [found for row in rows for path, test in references(row[-1]) if (found := problem(path, test))] == []


@pytest.mark.parametrize("name", PAGES)
def test_no_two_rows_have_one_number(name: str) -> None:
    numbers = [row[0] for row in page(name).rows()]
    assert sorted(numbers) == sorted(set(numbers))


@pytest.mark.parametrize("name", PAGES)
def test_a_reference_leads_to_the_file_that_it_names(name: str) -> None:
    wrong = [
        link.text
        for link in page(name).links()
        for path, _ in references(link.text)
        if (PROJECT / Path(name).parent / link.target).resolve() != PROJECT / path
    ]
    assert wrong == []
    linked = [reference for link in page(name).links() for reference in references(link.text)]
    assert len(linked) == len(references((PROJECT / name).read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("tests/nowhere.py", "test_it"),
        ("tests/docs/test_claims.py", "test_nothing_of_the_kind"),
    ],
)
def test_a_reference_to_nothing_is_seen(path: str, name: str) -> None:
    assert problem(path, name)


@pytest.mark.parametrize(
    "source",
    [
        "@pytest.mark.skip\ndef test_it(): ...",
        "@pytest.mark.skipif(True, reason='')\ndef test_it(): ...",
        "ROOT = pytest.mark.skipif(True, reason='')\n@ROOT\ndef test_it(): ...",
        "pytestmark = pytest.mark.skip\ndef test_it(): ...",
        "pytest.importorskip('x')\ndef test_it(): ...",
        "def test_it():\n    pytest.skip('no')",
    ],
)
def test_a_test_that_may_be_skipped_is_seen(source: str) -> None:
    assert skipped(ast.parse(source), "test_it")


def test_a_test_that_runs_is_seen_as_one() -> None:
    assert not skipped(
        ast.parse("pytestmark = pytest.mark.e2e\n@pytest.mark.parametrize('skip', [1])\ndef test_it(): ..."), "test_it"
    )


def misfits(breakage: Breakage) -> list[str]:
    """What keeps a breakage from being tried, or from being its rows'."""
    named = [TESTS.get(row, []) for row in breakage.rows]
    found = [
        f"{row} names none of its tests"
        for row, tests in zip(breakage.rows, named, strict=True)
        if not {*tests} & {*breakage.functions}
    ]
    found += [f"no row of it names {test}" for test in breakage.functions if test not in itertools.chain(*named)]
    found += [f"{test} is not run by make claims" for test in breakage.functions if test.startswith(DEPLOYED)]
    for edit in breakage.edits:
        try:
            edit.applied(PROJECT)
        except ValueError as error:
            found.append(str(error))
    return found


def test_every_breakage_can_be_made_and_turns_tests_of_its_rows_red() -> None:
    assert [(breakage.rows, found) for breakage in BREAKAGES if (found := misfits(breakage))] == []


@pytest.mark.parametrize(
    "breakage",
    [
        Breakage(rows=("T1",), edits=(), tests=("tests/docs/test_links.py::test_it",)),
        Breakage(rows=("T0",), edits=(), tests=("tests/docs/test_links.py::test_it",)),
        Breakage(rows=("T1", "T3"), edits=(), tests=(f"{TESTS['T1'][0]}[dev]",)),
        Breakage(rows=("T1",), edits=(Edit(file="Makefile", text="make", instead=""),), tests=(TESTS["T1"][0],)),
        Breakage(rows=("T7",), edits=(), tests=tuple(TESTS["T7"])),
    ],
    ids=["of another row", "of no row", "of one row alone", "of no place", "of a deployment"],
)
def test_a_breakage_that_does_not_fit_is_seen(breakage: Breakage) -> None:
    assert misfits(breakage)


def test_every_row_has_a_breakage_and_each_of_its_tests_is_turned_red_by_one() -> None:
    """Which one it is does not matter: two rows may name one test."""
    broken = {row for breakage in BREAKAGES for row in breakage.rows}
    red = {test for breakage in BREAKAGES for test in breakage.functions}
    assert [row for row in TESTS if row not in broken] == []
    assert [test for tests in TESTS.values() for test in tests if test not in red and not test.startswith(DEPLOYED)] == []


@pytest.mark.parametrize(
    "edit",
    [
        Edit(file="tests/docs/nowhere.py", text="a", instead="b"),
        Edit(file="Makefile", text="no such text anywhere", instead=""),
        Edit(file="Makefile", text="make", instead="build"),
        Edit(file="Makefile", text=".DEFAULT_GOAL := help", instead=".DEFAULT_GOAL := help"),
        Edit(file="__main__.py", text="import", instead="important"),
    ],
    ids=lambda edit: edit.text,
)
def test_an_edit_that_does_not_fit_is_refused(edit: Edit) -> None:
    with pytest.raises(ValueError, match=re.escape(edit.file)):
        edit.applied(PROJECT)


ONE, OTHER = "tests/test_a.py::test_one", "tests/test_a.py::test_other"
BROKEN = Breakage(rows=("T1",), edits=(), tests=(ONE, OTHER), raises=("KeyError",))


@pytest.mark.parametrize(
    ("verdicts", "problems"),
    [
        ([(ONE, "red"), (OTHER, "red")], 0),
        ([(f"{ONE}[a]", "passed"), (f"{ONE}[b]", "red"), (OTHER, "KeyError")], 0),
        ([(ONE, "red"), (OTHER, "passed")], 1),
        ([(ONE, "passed"), (OTHER, "passed")], 2),
        ([(ONE, "red"), (OTHER, "ImportError")], 1),
        ([(ONE, "red"), (OTHER, "skipped")], 1),
        ([("tests/test_a.py", "not collected")], 3),
        ([("infra", "imported from outside of the copy"), (ONE, "red"), (OTHER, "red")], 1),
        ([], 2),
    ],
)
def test_red_is_what_each_named_test_refuses_itself(verdicts: list[tuple[str, str]], problems: int) -> None:
    assert len(not_red(BROKEN, verdicts)) == problems


@pytest.mark.parametrize(
    "verdicts", [[(ONE, "red"), (OTHER, "passed")], [(ONE, "passed")], [(ONE, "skipped"), (OTHER, "passed")]]
)
def test_green_is_that_every_test_ran_and_passed(verdicts: list[tuple[str, str]]) -> None:
    assert not_green([ONE, OTHER], verdicts)
    assert not not_green([ONE, OTHER], [(f"{ONE}[a]", "passed"), (OTHER, "passed")])


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (AssertionError("assert 1 == 2"), "red"),
        (pytest.fail.Exception("DID NOT RAISE"), "red"),
        (pytest.fail.Exception("Timeout >180.0s"), "Failed"),
        (ImportError("no module"), "ImportError"),
        (ExceptionGroup("two", [AssertionError(), AssertionError()]), "red"),
        (ExceptionGroup("two", [AssertionError(), TypeError()]), "TypeError"),
    ],
)
def test_an_assertion_is_told_from_an_error(error: BaseException, said: str) -> None:
    assert verdict(error) == said
