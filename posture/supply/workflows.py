"""The workflows: of GitHub's form, without what zizmor knows to be unsafe, and by the rules of docs/ci.md."""

import json
import re
from collections.abc import Iterator
from typing import Any

import yaml

from posture.plan import ROOT
from posture.scanners.checkov import ScanError
from posture.scanners.results import Failure
from posture.supply import programs
from posture.supply.pins import workflows

DEPENDABOT = ROOT / ".github" / "dependabot.yml"

# Those that run the code of whoever opens a pull request, or started another workflow, with the rights of the repository.
_UNSAFE_TRIGGERS = {"pull_request_target", "workflow_run", "issue_comment"}
_MAY_WRITE = {"id-token", "security-events", "contents", "pull-requests"}
_KEYS = {"aws-access-key-id", "aws-secret-access-key", "aws-session-token"}
_SECRET = re.compile(r"\$\{\{[^}]*\bsecrets\b")


def rules(name: str, text: str) -> Iterator[str]:
    """What in a workflow breaks a rule of ours."""
    workflow = yaml.safe_load(text)
    # YAML 1.1 reads the key `on` as true.
    triggers = workflow.get(True, workflow.get("on"))
    for trigger in sorted(_UNSAFE_TRIGGERS & set(triggers if isinstance(triggers, list | dict) else [triggers])):
        yield f"{name}: is started by {trigger}"
    if workflow.get("permissions") != {}:
        yield f"{name}: does not begin without any permission (permissions: {{}})"
    if _SECRET.search(text):
        yield f"{name}: uses a stored secret, where a role or the run's own token does"
    for job_name, job in workflow["jobs"].items():
        yield from (f"{name}: {job_name} {wrong}" for wrong in _job(job))


def _job(job: dict[str, Any]) -> Iterator[str]:
    permissions = job.get("permissions")
    if not isinstance(permissions, dict):
        yield "does not name its permissions"
        permissions = {}
    yield from (f"may write {what}" for what, right in permissions.items() if right == "write" and what not in _MAY_WRITE)
    called = "uses" in job
    if permissions.get("id-token") == "write" and not called and not job.get("environment"):
        yield "takes a token for AWS outside of an environment"
    if not called and not job.get("timeout-minutes"):
        yield "has no time limit"
    if called and (job["with"]["stack"], job["with"]["command"]) == ("prod", "up") and job["with"]["environment"] != "prod":
        yield "deploys prod outside of the environment that is approved"
    for step in job.get("steps", ()):
        if "${{" in step.get("run", ""):
            yield "puts an expression into a shell's text; pass it by env"
        if _KEYS & set(step.get("with", ())):
            yield "uses a key of AWS that lasts"
        if (
            str(step.get("uses", "")).startswith("actions/checkout@")
            and step.get("with", {}).get("persist-credentials") is not False
        ):
            yield "leaves the checkout's token on the disk"


def findings() -> list[str]:
    """What breaks a rule of ours, or GitHub's schemas, in the repository. Raises ScanError."""
    found = [text for path in workflows() for text in rules(path.name, path.read_text(encoding="utf-8"))]
    return found + schema("github-workflows", *map(str, workflows())) + schema("dependabot", str(DEPENDABOT))


def schema(name: str, *files: str) -> list[str]:
    """What check-jsonschema says of files that are not of GitHub's form; nothing when they are. Raises ScanError."""
    done = programs.run("check-jsonschema", "--builtin-schema", f"vendor.{name}", *files)
    return [f"{name}: {(done.stdout + done.stderr).strip()}"] if done.returncode else []


def zizmor(place: str = ".github") -> list[Failure]:
    """What zizmor finds, without asking anybody: the audit, and the file. Raises ScanError when it did not look."""
    done = programs.run("zizmor", "--offline", "--no-exit-codes", "--format", "json", place)
    try:
        told = json.loads(done.stdout)
    except ValueError:
        raise ScanError(f"zizmor gave no report: {done.stderr[-1000:]}") from None
    files = {(one["ident"], _file(location)) for one in told for location in one["locations"]}
    return sorted(Failure(check, file) for check, file in files)


def _file(location: dict[str, Any]) -> str:
    return str(location["symbolic"]["key"]["Local"]["verbatim_path"])
