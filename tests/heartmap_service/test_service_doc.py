"""docs/service.md: the codes of errors are those that the code raises, all of them and no others."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from heartmap_service import analyses, direct_identity, estimate, quotas, server, settings, upload_store, uploads
from heartmap_service.refusals import SENTENCES
from infra import data, gateway_responses

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/service.md").read_text(encoding="utf-8")

# Where a call names its code by an expression: what that can be.
CODES_FROM_ELSEWHERE: dict[tuple[str, str], set[str]] = {
    ("analyses.py", "upload.code or 'rejected'"): {"rejected"},  # and what the check found: docs/data-sets.md
    ("analyses.py", "code"): {"will_not_fit"},
    ("api.py", "code"): set(),  # an analysis's own
    ("etags.py", "code"): set(),  # of whoever calls require_match
    ("quotas.py", "code"): set(),  # of whoever makes a QuotaExceeded
    ("server.py", "code"): {server._NOT_HTTP[1], server._HEAD_TOO_LARGE[1]},
    ("direct_identity.py", "code"): {code for code, _ in [*direct_identity._DENIED.values(), direct_identity._NOT_PERMITTED]},
}


def documented() -> set[tuple[int, str]]:
    return {(int(status), code) for status, code in re.findall(r"^\| (\d{3}) \| `(\w+)` \|", PAGE, re.MULTILINE)}


def raised() -> Iterator[tuple[str, str, ast.expr]]:
    """File, status as written, and the expression of the code, of each call that makes a Problem."""
    for path in sorted((ROOT / "heartmap_service").glob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef) and any(getattr(base, "id", "") == "Problem" for base in node.bases):
                for call in (each for each in ast.walk(node) if isinstance(each, ast.Call)):
                    if ast.unparse(call.func) == "super().__init__":
                        yield path.name, ast.unparse(call.args[0]), call.args[1]
            if not isinstance(node, ast.Call):
                continue
            name = ast.unparse(node.func).rpartition(".")[2]
            if name == "Problem":
                yield path.name, ast.unparse(node.args[0]), node.args[1]
            if name == "QuotaExceeded":
                yield path.name, "429", node.args[0]
            if name == "require_match":
                yield path.name, "412", next(each.value for each in node.keywords if each.arg == "code")


def test_every_code_that_is_raised_is_in_the_table_and_no_other() -> None:
    codes = {response.code for response in gateway_responses.GATEWAY_RESPONSES}
    for name, _, expression in raised():
        constant = expression.value if isinstance(expression, ast.Constant) else None
        codes |= {constant} if constant else CODES_FROM_ELSEWHERE[name, ast.unparse(expression)]
    refused = estimate.refusal(estimate.Estimate(2, 1, 0.0), 1, "")
    assert refused is not None
    assert refused[0] == "will_not_fit"
    assert {code for _, code in documented()} == codes


def test_each_code_has_the_status_that_it_is_raised_with() -> None:
    known = documented()
    for name, status, expression in raised():
        if isinstance(expression, ast.Constant) and status.isdigit():
            assert (int(status), expression.value) in known, name


def test_what_the_page_says_of_sizes_and_times_is_so() -> None:
    fields = settings.ApiSettings.model_fields
    assert f"({'`heartmap:quota_queued_jobs`'}, {fields['quota_queued_jobs'].default})" in PAGE
    assert f"({'`heartmap:quota_jobs_per_day`'}, {fields['quota_jobs_per_day'].default})" in PAGE.replace("\n", " ")
    gib = fields["quota_upload_bytes_per_day"].default // settings.GIB
    assert f"`heartmap:quota_upload_bytes_per_day`, {gib} GiB" in PAGE
    assert f"up to {uploads.ONE_POST // settings.MIB} MB" in PAGE
    assert f"{upload_store.UPLOAD_RETENTION // 86_400} days after" in PAGE
    assert f"within {data.UNFINISHED_UPLOADS_KEPT_DAYS}\ndays" in PAGE
    assert f"fewer than {analyses.COUNTED:,}" in PAGE
    assert f"`Retry-After` says in how many seconds to try again: {quotas.QUEUED_RETRY}" in PAGE


def test_a_rejected_upload_can_be_looked_up() -> None:
    page = (ROOT / "docs/data-sets.md").read_text(encoding="utf-8")
    assert [code for code in SENTENCES if f"`{code}`" not in page] == []
