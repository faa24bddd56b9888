"""What `make posture` makes of findings, exceptions and dates, and how it says so."""

import datetime
import json
from collections.abc import Sequence

import pytest
from rich.console import Console
from typer.testing import CliRunner

from posture import __main__ as program
from posture import check, report
from posture.controls.page import Excuse, Finding, Page, read
from posture.plan import Plan, plan_of
from posture.scanners.checkov import ScanError
from posture.scanners.results import Failure
from posture.verdict import Result, Row, explain, named

TODAY = datetime.date(2026, 12, 1)
REASON = "a reason that is as long as a reason has to be"


def line(check: str, resources: str, look_again: datetime.date = TODAY) -> Finding:
    return Finding(check, resources, Excuse(frozenset({"prod"}), REASON, "security engineer", look_again))


def results(rows: Sequence[Row]) -> list[Result]:
    return [row.result for row in rows]


def test_what_no_exception_covers_fails_with_the_resource() -> None:
    (row,) = explain("tool", [Failure("A", "bucket.x"), Failure("A", "bucket.y")], [line("A", r"bucket\.x")], TODAY)
    assert (row.result, row.detail) == (Result.FAIL, "not explained: bucket.y")


def test_what_an_exception_covers_is_one_with_its_reason_owner_and_date() -> None:
    (row,) = explain("tool", [Failure("A", "bucket.x")], [line("A", r"bucket\..")], TODAY)
    assert (row.result, row.exception) == (Result.EXCEPTION, f"{REASON} (security engineer, until 2026-12-01)")


def test_an_exception_whose_date_has_passed_fails() -> None:
    (row,) = explain("tool", [Failure("A", "x")], [line("A", "x", TODAY - datetime.timedelta(days=1))], TODAY)
    assert row.result is Result.FAIL
    assert "was to be looked at on 2026-11-30" in row.detail


def test_an_exception_that_explains_nothing_fails() -> None:
    (row,) = explain("tool", [], [line("A", "x")], TODAY)
    assert (row.result, row.detail) == (Result.FAIL, "x: an exception that explains nothing")


def test_a_pattern_is_for_the_whole_name() -> None:
    assert Result.FAIL in results(explain("tool", [Failure("A", "bucket.xy")], [line("A", r"bucket\.x")], TODAY))


def test_many_things_are_counted() -> None:
    assert named("abcdefg") == "a, b, c, d, e and 2 more"


ROWS = [
    Row("1 Auth", "plan", Result.PASS, "met in [prod]"),
    Row("A", "checkov", Result.EXCEPTION, "x", REASON),
    Row("audit", "pip-audit", Result.NO_DATA),
]
BAD = Row("B", "checkov", Result.FAIL, "not explained: y")


def test_data_out_of_reach_and_exceptions_fail_nothing_and_one_failure_all() -> None:
    assert report.passed(ROWS)
    assert not report.passed([*ROWS, BAD])
    assert not report.passed([])


def test_the_table_shows_control_tool_result_and_exception(capsys: pytest.CaptureFixture[str]) -> None:
    report.show([*ROWS, BAD], Console(width=200))
    shown = capsys.readouterr().out
    assert all(
        word in shown for word in ("Control", "Tool", "Result", "Exception", "met in [prod]", REASON, "fail not explained: y")
    )
    assert "1 pass, 1 exception, 1 fail, 1 no data" in shown


def test_sarif_has_failures_as_errors_and_exceptions_as_suppressed() -> None:
    (run,) = json.loads(report.as_sarif([*ROWS, BAD]))["runs"]
    exception, failure = run["results"]
    assert exception["suppressions"] == [{"kind": "external", "justification": REASON}]
    assert (failure["level"], failure["ruleId"], "suppressions" in failure) == ("error", "checkov/B", False)
    assert {rule["id"] for rule in run["tool"]["driver"]["rules"]} == {"checkov/A", "checkov/B"}


@pytest.mark.parametrize(("rows", "code"), [(ROWS, 0), ([*ROWS, BAD], 1)])
def test_the_command_exits_by_what_is_found(
    rows: list[Row], code: int, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("report")
    monkeypatch.setattr(program, "REPORT", folder)
    monkeypatch.setattr(program, "everything", lambda *_: iter(rows))
    assert CliRunner().invoke(program.app, ["check"]).exit_code == code
    assert json.loads((folder / "posture.json").read_text())["passed"] is (code == 0)
    assert json.loads((folder / "posture.sarif").read_text())["version"] == "2.1.0"


def test_a_tool_that_could_not_look_fails() -> None:
    def broken() -> list[Row]:
        raise ScanError("it did not start")

    (row,) = check._told("checkov", broken)  # pyright: ignore[reportPrivateUsage]
    assert (row.result, row.detail) == (Result.FAIL, "it did not start")


CONTROLS = "| # | Control | Ids | Met by | Stacks |\n|---|---|---|---|---|\n"
EXCEPTIONS = "\n| # | Stacks | Reason | Owner | Look again |\n|---|---|---|---|---|\n"


def page(number: str, stacks: str, excuse: str = "") -> Page:
    return read(f"{CONTROLS}| {number} | It | own | this | {stacks} |\n{EXCEPTIONS}{excuse}")


def of_row(number: str, rows: list[Row]) -> list[Row]:
    return [row for row in rows if row.control.startswith(f"{number} ") or f"row {number}," in row.detail]


def test_our_own_controls_are_lines_and_so_is_where_page_and_plan_differ() -> None:
    plans: list[Plan] = [plan_of("prod")]
    assert results(of_row("67", check.own(page("67", "prod"), plans, TODAY))) == [Result.PASS]
    assert results(of_row("39", check.own(page("39", "-"), plans, TODAY))) == [Result.EXCEPTION, Result.FAIL]
    excuse = f"| 39 | prod | {REASON} | security engineer | 2999-01-01 |\n"
    assert results(of_row("39", check.own(page("39", "-", excuse), plans, TODAY))) == [Result.EXCEPTION]
