"""docs/troubleshooting.md: made anew it is the same, and no code that the sources answer with is missing."""

import ast
import re

import pytest

from heartmap_service.refusals import SENTENCES
from infra.gateway_responses import GATEWAY_RESPONSES
from lambda_authorizer.reasons import Reason
from operator_cli.storage import REFUSALS
from posture import error_codes
from posture.advice import ANALYSIS, API, CONSOLE, PROGRAM
from posture.error_codes import ROOT, raised
from posture.troubleshooting import (
    OF_CONSOLE,
    OF_FUNCTIONS,
    OF_JOBS,
    PAGE,
    console_codes,
    function_codes,
    job_codes,
    program_errors,
    reason_rows,
    render,
    service_codes,
)

TEXT = PAGE.read_text(encoding="utf-8")

# Codes that a source passes on from another one, which is on the page itself.
PASSED_ON = {
    ("heartmap_service/refusals.py", "code"),  # SENTENCES
    ("heartmap_service/sandbox.py", "said['refused']['code']"),  # SENTENCES, out of the sandbox
    ("operator_cli/analyses.py", "fault.code if fault else None"),  # of an analysis
    ("operator_cli/api.py", "problem.code"),  # of the API
    ("operator_cli/api.py", "problem.code or f'http_{status}'"),  # the same, or the status where it is no problem document
    ("operator_cli/console/upstream.py", "document.code or f'http_{status}'"),  # of the API
    ("operator_cli/sign_in.py", "answer.code"),  # an authorization code, which is no error
    ("operator_cli/sign_in.py", "answer.error"),  # of the user pool
    ("operator_cli/storage.py", "code"),  # of S3
    ("operator_cli/token_endpoint.py", "_error_code(response)"),  # of the user pool
    ("operator_cli/uploads.py", "state.code"),  # of an upload
}


def test_the_page_is_what_the_sources_say() -> None:
    assert render() == TEXT, "make docs"


def test_every_code_is_on_the_page() -> None:
    codes = {*service_codes(), *function_codes(), *job_codes(), *console_codes(), *SENTENCES, *REFUSALS}
    codes |= {each.code for each in program_errors() if each.code}
    codes |= {each.code for each in GATEWAY_RESPONSES}
    codes |= {str(reason) for reason in Reason if reason is not Reason.ALLOWED}
    assert len(codes) > 180
    assert [code for code in sorted(codes) if f"| `{code}` |" not in TEXT] == []


def test_there_is_advice_for_every_code_and_for_no_other() -> None:
    api = {**function_codes(), **service_codes()}
    assert set(API) == set(api)
    assert set(ANALYSIS) == set(job_codes())
    assert set(CONSOLE) == set(console_codes()) - set(api)
    assert set(PROGRAM) <= {each.code for each in program_errors()}


def test_no_code_is_made_in_a_way_that_nobody_looks_at() -> None:
    kinds = (
        ("heartmap_service/*.py", OF_JOBS),
        ("lambda_*/*.py", OF_FUNCTIONS),
        ("operator_cli/console/*.py", OF_CONSOLE),
        ("operator_cli/**/*.py", error_codes.NAMED),
    )
    made = {(each.file, each.expression) for pattern, places in kinds for each in raised(pattern, places) if each.code is None}
    assert made == PASSED_ON


def test_what_heartmapctl_advises_is_about_codes_that_there_are() -> None:
    tree = ast.parse((ROOT / "operator_cli/api.py").read_text(encoding="utf-8"))
    (advised,) = (
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and [ast.unparse(each) for each in node.targets] == ["by_code"]
    )
    assert isinstance(advised, ast.Dict)
    assert {each.value for each in advised.keys if isinstance(each, ast.Constant)} <= set(API)


def test_every_row_says_something_and_ends_with_no_gap() -> None:
    for line in TEXT.splitlines():
        if line.startswith("| `"):
            cells = re.split(r"(?<!\\)\|", line)[1:-1]
            assert all(cell.strip() for cell in cells), line
            assert not cells[-1].strip().endswith(": …"), line


def test_the_reasons_are_those_of_the_authorizer() -> None:
    assert {row[0] for row in reason_rows()} == {str(reason) for reason in Reason if reason is not Reason.ALLOWED}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ('raise Problem(404, "no_such_thing", "There is none.")', [("no_such_thing", "There is none.")]),
        ('problems.Problem(404, "no_such_thing", f"No {x}.")', [("no_such_thing", "No ….")]),
        ('Problem(409, x or "rejected", "No.")', [("rejected", "No.")]),
        ("Problem(409, x.code, y)", [(None, "")]),
        ('Problem(409 if x else 502, "no_such_thing", "There is none.")', [("no_such_thing", "There is none.")]),
        ("Problem(409)", []),
        ('other(404, "no_such_thing", "There is none.")', []),
    ],
)
def test_codes_are_read_where_they_stand(
    source: str, expected: list[tuple[str | None, str]], tmp_path: error_codes.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.py").write_text(source)
    monkeypatch.setattr(error_codes, "ROOT", tmp_path)
    assert [(each.code, each.text) for each in raised("*.py", {"Problem": 1})] == expected


def test_the_choice_of_two_codes_is_both(tmp_path: error_codes.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.py").write_text('WrongUse("No.", code="busy" if x else "not_allowed", next_step=f"Say {y}.")')
    monkeypatch.setattr(error_codes, "ROOT", tmp_path)
    assert [(each.code, each.step) for each in raised("*.py")] == [("busy", "Say …."), ("not_allowed", "Say ….")]
