"""A plugin of pytest that says how each test ended, one JSON object a line: an assertion that fails is told from an error.

In a copy of the repository it refuses the run when a module of the project came from elsewhere.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
RED = "red"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--verdicts", type=Path, required=True, help="the file that the verdicts are added to")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(_Verdicts(config.getoption("--verdicts")))


def verdict(error: BaseException) -> str:
    """``red`` for what a test itself refuses, else the name of the exception."""
    if isinstance(error, BaseExceptionGroup):
        return next((one for one in map(verdict, error.exceptions) if one != RED), RED)
    refused = isinstance(error, AssertionError | pytest.fail.Exception) and not str(error).startswith("Timeout")
    return RED if refused else type(error).__name__


class _Verdicts:
    def __init__(self, path: Any) -> None:
        self._path = path
        self._failed: set[str] = set()

    def _say(self, test: str, said: str) -> None:
        with self._path.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps({"test": test, "verdict": said}) + "\n")

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Once a test failed, it is not tried with its other parameters."""
        if item.nodeid.partition("[")[0] in self._failed:
            pytest.skip("It failed.")

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[Any]:
        report: pytest.TestReport = yield
        if report.failed and call.excinfo is not None:
            self._failed.add(item.nodeid.partition("[")[0])
            said = verdict(call.excinfo.value)
            self._say(item.nodeid, said if call.when == "call" else f"{said} in its {call.when}")
        elif call.when == "call" or (report.skipped and item.nodeid.partition("[")[0] not in self._failed):
            self._say(item.nodeid, report.outcome)
        return report

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self._say(report.nodeid, "not collected")

    def pytest_sessionfinish(self) -> None:
        for name, module in list(sys.modules.items()):
            ours = (ROOT / name.partition(".")[0]).is_dir()
            if ours and (file := getattr(module, "__file__", None)) and not Path(file).is_relative_to(ROOT):
                self._say(name, "imported from outside of the copy")
