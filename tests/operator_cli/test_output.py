import io
import sys
from typing import Any

import pytest

from operator_cli.errors import CliError
from operator_cli.output import Output, as_json, human_bytes, printable, report


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> tuple[Terminal, Terminal]:
    """Called in the test, not a fixture: pytest puts its own streams in place after the fixtures."""
    pair = Terminal(), Terminal()
    monkeypatch.setattr(sys, "stdout", pair[0])
    monkeypatch.setattr(sys, "stderr", pair[1])
    monkeypatch.setenv("TERM", "xterm-256color")
    return pair


def test_control_escape_and_direction_characters_are_shown_as_replaced() -> None:
    assert printable("a\x1b[31m\r\n\x9b\u202eb é") == "a�[31m����b é"


def test_json_is_ascii() -> None:
    assert as_json("\x1b\x9b\u202e").isascii()


def test_a_bar_is_drawn_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = on_a_terminal(monkeypatch)
    output = Output(json_only=False)
    with output.transfer("Uploading [red]cells[/red]", 100) as done:
        done(50)
        done(100)
    assert "Uploading [red]cells[/red]" in terminal[1].getvalue()
    assert "\x1b" in terminal[1].getvalue()
    assert terminal[0].getvalue() == ""


def test_no_color_leaves_no_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = on_a_terminal(monkeypatch)
    import re

    monkeypatch.setenv("NO_COLOR", "1")
    output = Output(json_only=False)
    with output.stages("Analysis") as update:
        update("running", 0.5)
    output.table(("A",), [("x",)])
    colours = re.compile(r"\x1b\[[0-9;]*\b(3[0-8]|4[0-8]|9[0-7]|10[0-7])\b[0-9;]*m")
    assert not colours.search(terminal[0].getvalue() + terminal[1].getvalue())


def test_json_leaves_a_terminal_without_bars_and_notes(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = on_a_terminal(monkeypatch)
    output = Output(json_only=True)
    with output.transfer("Uploading", 10) as done, output.stages("Analysis") as update:
        done(10)
        update("running", None)
    output.note("hello")
    assert terminal[1].getvalue() == ""


def test_a_table_on_a_terminal_has_a_heading(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = on_a_terminal(monkeypatch)
    Output(json_only=False).table(("ANALYSIS", "STATE"), [("[b]x[/b]", None)])
    assert "ANALYSIS" in terminal[0].getvalue()
    assert "[b]x[/b]" in terminal[0].getvalue()


def test_a_failure_is_told_to_both(capsys: Any) -> None:
    report(CliError("No.", code="forbidden", request_id="r", next_step="Ask.", document={"state": "failed"}), json_only=True)
    out, err = capsys.readouterr()
    assert '"state": "failed"' in out
    assert err == "Error: No.\n  code forbidden, request id r\n  Ask.\n"


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (64_000_000, "64.0 MB"), (5e15, "5000.0 TB")]
)
def test_sizes_are_read_by_people(count: float, text: str) -> None:
    assert human_bytes(count) == text
