"""The posture as a table for people, as JSON, and as SARIF 2.1.0 for whoever collects findings."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict

from rich.console import Console
from rich.table import Table

from posture.verdict import Result, Row

_COLOURS = {Result.PASS: "green", Result.EXCEPTION: "yellow", Result.FAIL: "red", Result.NO_DATA: "cyan"}
_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/os/schemas/sarif-schema-2.1.0.json"


def show(rows: Sequence[Row], console: Console) -> None:
    """One table, and how many there are of each."""
    table = Table("Control", "Tool", "Result", "Exception")
    for row in rows:
        verdict = f"[{_COLOURS[row.result]}]{row.result}[/]"
        table.add_row(_plain(row.control), _plain(row.tool), f"{verdict} {_plain(row.detail)}".strip(), _plain(row.exception))
    console.print(table)
    counts = Counter(row.result for row in rows)
    console.print(", ".join(f"{counts[result]} {result}" for result in Result))


def as_json(rows: Sequence[Row]) -> str:
    """Every line, and whether they are all explained."""
    return json.dumps({"passed": passed(rows), "lines": [asdict(row) for row in rows]}, indent=2) + "\n"


def as_sarif(rows: Sequence[Row]) -> str:
    """What is not met: what an exception explains is there as suppressed, with its reason."""
    told = [row for row in rows if row.result in (Result.FAIL, Result.EXCEPTION)]
    rules = {f"{row.tool}/{row.control}": row.control for row in told}
    run = {
        "tool": {"driver": {"name": "make posture", "rules": [{"id": one, "name": name} for one, name in rules.items()]}},
        "results": [_result(row) for row in told],
    }
    return json.dumps({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2) + "\n"


def passed(rows: Sequence[Row]) -> bool:
    """Whether nothing is unexplained, and no exception has expired. That data were out of reach fails nothing."""
    return bool(rows) and not any(row.result is Result.FAIL for row in rows)


def _result(row: Row) -> dict[str, object]:
    failed = row.result is Result.FAIL
    location = {"physicalLocation": {"artifactLocation": {"uri": "docs/controls.md"}, "region": {"startLine": 1}}}
    result: dict[str, object] = {
        "ruleId": f"{row.tool}/{row.control}",
        "level": "error" if failed else "note",
        "message": {"text": row.detail or row.control},
        "locations": [location],
    }
    return result if failed else result | {"suppressions": [{"kind": "external", "justification": row.exception}]}


def _plain(text: str) -> str:
    """Without what rich would take for markup."""
    return text.replace("[", "\\[")
