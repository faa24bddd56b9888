"""docs/troubleshooting.md, made from the codes in the sources: what each says, and what to do about it.

python -m posture.troubleshooting > docs/troubleshooting.md
"""

import re
import sys
from collections.abc import Iterable, Iterator, Sequence

from heartmap_service.refusals import SENTENCES
from infra.gateway_responses import GATEWAY_RESPONSES
from lambda_authorizer import reasons
from operator_cli.storage import REFUSALS
from posture.advice import ANALYSIS, API, BY_HAND, CONSOLE, PROGRAM, SIGN_IN
from posture.error_codes import ROOT, Raised, raised

PAGE = ROOT / "docs/troubleshooting.md"
SERVICE_PAGE = ROOT / "docs/service.md"

# Which argument of each kind of error is its code.
OF_FUNCTIONS = {"Problem": 2}
OF_JOBS = {"JobFailed": 0, "Refused": 0}
OF_CONSOLE = {"Problem": 1, "__init__": 1}

Row = tuple[str, ...]

HEAD = """# Troubleshooting

Every code that anything of this project answers with, and what to do about it. `heartmapctl` shows it in the second line of an
error, the console beside the message, and the API as `code` of a problem document. The sources make the page: `make docs`.

## First

1. `heartmapctl doctor` looks for what is wrong on your side, and names the command that repairs it.
2. Look the code up below. Most errors say themselves what to do, in their last line.
3. Where an administrator has to look, give them the request id: `heartmapctl audit search --request-id ID` finds who asked for
   what, and why it was refused.

How a command ends tells a program what kind of failure it was (`heartmapctl help exit-codes`): 1 refused or failed, 2 wrong use,
3 not signed in, 130 interrupted.

`…` stands for what is filled in.
"""


def service_codes() -> dict[str, str]:
    """The codes of the service and of the gateway, with what they mean: a table that a test compares with the sources."""
    rows = re.findall(r"^\| \d{3} \| `(\w+)` \| (.+?) \|$", SERVICE_PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    codes: dict[str, str] = {}
    for code, meaning in rows:
        codes.setdefault(code, meaning)
    return codes | {each.code: codes.get(each.code, each.detail) for each in GATEWAY_RESPONSES}


def function_codes() -> dict[str, str]:
    """Those of the functions that answer beside the service: keys, users, audit, credentials for IAM roles."""
    return _by_code(raised("lambda_*/*.py", OF_FUNCTIONS))


def job_codes() -> dict[str, str]:
    """Those of uploads and analyses that failed, apart from what is wrong with a data set."""
    found = _by_code(raised("heartmap_service/*.py", OF_JOBS))
    return {code: text for code, text in found.items() if code not in SENTENCES}


def console_codes() -> dict[str, str]:
    return _by_code(raised("operator_cli/console/*.py", OF_CONSOLE))


def program_errors() -> list[Raised]:
    """Those of heartmapctl itself, each as often as it is raised in other words."""
    return [each for each in raised("operator_cli/**/*.py") if each.code is not None]


def reason_rows() -> list[Row]:
    """The table of the authorizer's module, without what opens the way."""
    text = (reasons.__doc__ or "").partition("Deny (403)")[2]
    return re.findall(r"^([a-z_]+) {2,}(.+)$", text, re.MULTILINE)


def _by_code(errors: Iterable[Raised]) -> dict[str, str]:
    """The longest that is said with each code."""
    found: dict[str, str] = {}
    for each in errors:
        if each.code is not None:
            found[each.code] = max(found.get(each.code, ""), each.text, key=len)
    return found


def _table(heads: Sequence[str], rows: Iterable[Row]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


def _section(title: str, text: str, heads: Sequence[str], rows: Iterable[Row]) -> str:
    return f"\n## {title}\n\n{text}\n\n{_table(heads, rows)}"


def _program_rows() -> Iterator[Row]:
    seen = set()
    for each in sorted(program_errors(), key=lambda each: each.code or ""):
        # Where a command is filled in, it is written out here.
        step = PROGRAM[each.code or ""] if not each.step or each.step.endswith("…") else each.step
        row = (f"`{each.code}`", BY_HAND.get(each.code or "", each.text), step)
        if row not in seen:
            seen.add(row)
            yield row


def render() -> str:
    """The page."""
    three, functions, jobs = ("code", "what it says", "what to do"), function_codes(), job_codes()
    api = {**functions, **service_codes()}
    sections = [
        HEAD,
        _section("On this machine", "What `heartmapctl` finds before it asks, or on its way.", three, _program_rows()),
        _section(
            "Signing in",
            "The user pool's own codes (RFC 6749), and Cognito's.",
            ("code", "what to do"),
            ((f"`{code}`", step) for code, step in SIGN_IN.items()),
        ),
        _section(
            "Sending and fetching",
            "S3's own codes, of a transfer that it refused.",
            ("code", "what it says"),
            ((f"`{code}`", text) for code, text in REFUSALS.items()),
        ),
        _section(
            "Answers of the API",
            "With their statuses and for programs: [service.md](service.md). `http_…` with a status stands where an answer is no "
            "problem document: something between you and the API gave it.",
            three,
            ((f"`{code}`", api[code] or BY_HAND[code], API[code]) for code in sorted(api)),
        ),
        _section(
            "Uploads and analyses that failed",
            "The code is in the state of the upload or the analysis.",
            three,
            ((f"`{code}`", jobs[code] or BY_HAND[code], ANALYSIS[code]) for code in sorted(jobs)),
        ),
        _section(
            "Data sets that are refused",
            "What each asks for in more words: [data-sets.md](data-sets.md).",
            ("code", "what it says"),
            ((f"`{code}`", re.sub(r"{\w+}", "…", text)) for code, text in SENTENCES.items()),
        ),
        _section(
            "The console",
            "What it answers beside the codes of the API.",
            three,
            (
                (f"`{code}`", text or BY_HAND[code], CONSOLE[code])
                for code, text in sorted(console_codes().items())
                if code not in api
            ),
        ),
        _section(
            "Why the authorizer refused",
            "For administrators: the `reason` in the audit trail (`heartmapctl audit search --reason REASON`). Callers are told "
            "it with a 403 only, of which two say what to do: `sign_in_too_old` (`heartmapctl login`, then repeat it) and "
            "`key_source` (the key may not be used from that address).",
            ("reason", "what was wrong"),
            ((f"`{code}`", text) for code, text in reason_rows()),
        ),
    ]
    return "".join(sections)


if __name__ == "__main__":
    sys.stdout.write(render())
