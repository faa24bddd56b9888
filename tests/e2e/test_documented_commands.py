"""Every verb and every option of it, as they are typed, against the local environment; and the README's own lines."""

import json
import os
import re
import secrets
import shlex
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import pytest
import typer.main

from operator_cli.json_fields import DOCUMENTS
from operator_cli.main import app, leaves
from tests.docs.markdown import page
from tests.e2e.conftest import BIN, clean_environment

pytestmark = pytest.mark.e2e

PROJECT = Path(__file__).resolve().parents[2]
VERBS = dict(leaves(typer.main.get_command(app)))  # pyright: ignore[reportArgumentType]  (the root is a group)
# Those of another environment need one: tests/operator_cli/test_documented.py parses them.
README_LINE = re.compile(r"^\.venv/bin/heartmapctl (?!.*--environment).*$", re.MULTILINE)
SECONDS = 300


def served(words: list[str], directory: Path, variables: dict[str, str], *, until: str, code: int) -> str:
    """What a program prints up to these words; fails when it does not end with the exit code after Ctrl-C."""
    process = subprocess.Popen(
        words, cwd=directory, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True
    )
    assert process.stdout is not None
    shown = ""
    try:
        while until not in shown:
            piece = process.stdout.readline()
            assert piece, f"{words} ended: {shown}"
            shown += piece
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == code, shown
    finally:
        if process.poll() is None:
            process.kill()
        process.stdout.close()
    return shown


class Typist:
    """Types commands, and remembers what of the help was used."""

    def __init__(self, local: Any, directory: Path) -> None:
        self._local = local
        self.directory = directory
        self.used: set[tuple[str, str]] = set()
        self.unnamed: set[tuple[str, str]] = set()
        """What a verb answers and its help does not name."""

    def types(self, line: str, code: int = 0) -> Any:
        """The one document of a command. Fails when the exit code is another."""
        verb, words = self._read(line)
        done = self._local.ctl(*words, "--json", timeout=SECONDS)
        assert done.returncode == code, f"{line}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        document = json.loads(done.stdout)
        if code == 0 and verb in DOCUMENTS:
            told = DOCUMENTS[verb]
            for item in document[told.each] if told.each else [document]:
                self.unnamed.update((verb, field) for field in set(item) - set(told.fields))
        return document

    def serves(self, line: str, until: str, code: int) -> str:
        """What a command prints that goes on until Ctrl-C, up to these words; then its exit code is this."""
        _, words = self._read(line)
        variables = os.environ | {"HEARTMAP_LOCAL_STATE": str(self._local.state)}
        return served([sys.executable, "-m", "operator_cli", *words], PROJECT, variables, until=until, code=code)

    def _read(self, line: str) -> tuple[str, list[str]]:
        words = shlex.split(line)
        verb = next(name for name in (" ".join(words[:2]), words[0]) if name in VERBS)
        self.used.add((verb, ""))
        self.used.update((verb, word) for word in words if word.startswith("--"))
        return verb, words


def test_every_verb_and_option_works_as_the_help_says(local: Any, tmp_path: Path) -> None:
    typist = Typist(local, tmp_path)
    cells = local.state / "pbmc68k.h5ad"
    typist.types("login --as admin")
    _of_this_side(typist)
    _other_gateways(typist, local)
    analysis = _data_and_analyses(typist, cells)
    _settings(typist)
    _people_and_keys(typist)
    _the_trail(typist, analysis)
    _seals(typist, local)
    _by_the_stacks_own_credentials(typist)
    typist.types("logout")
    typist.types("whoami", code=3)
    wanted = {(verb, "") for verb in VERBS} | {
        (verb, max(option.opts, key=len))
        for verb, command in VERBS.items()
        for option in command.params
        if option.param_type_name == "option" and not option.secondary_opts
    }
    # Said of every verb, and used with each of them or parsed the same.
    everywhere = {"--environment", "--json", "--fields"}
    missed = sorted(f"{verb} {option}" for verb, option in wanted - typist.used if option not in everywhere)
    assert missed == []
    assert typist.unnamed == set()


def _of_this_side(typist: Typist) -> None:
    assert typist.types("whoami --environment local")["groups"] == ["admin"]
    assert typist.types("token --fields access_token")["access_token"].count(".") == 2
    assert {check["state"] for check in typist.types("doctor")["checks"]} <= {"pass", "warn"}
    assert typist.types("help exit-codes")["entries"]
    assert typist.types("api GET /models")["models"]
    refused = typist.types("""api POST /config --data '{"resolution": "banana"}'""", code=1)
    assert refused["error"]["request_id"]
    # Nobody comes; and in local there is nothing to tunnel to, and no VPN.
    typist.types("login --no-browser --timeout 1", code=1)
    typist.types(f"tunnel --local-port 0 --ssh --identity {typist.directory / 'key'}", code=1)
    typist.types(f"vpn setup --authority {typist.directory}", code=1)
    typist.types(f"vpn profile ada --days 30 --output {typist.directory / 'a.ovpn'} --authority {typist.directory}", code=1)
    typist.types(f"vpn revoke ada --yes --authority {typist.directory}", code=1)
    told = typist.serves("console --no-browser --port 0 --json", until='"url"', code=0)
    assert re.fullmatch(r"http://(127\.0\.0\.1|localhost):\d+/start\?token=\S+", json.loads(told.splitlines()[-1])["url"])


def _other_gateways(typist: Typist, local: Any) -> None:
    """Of this environment's stack, and of outputs in a file."""
    at, outputs, jwks = (typist.directory / name for name in ("gateways", "stack.json", "jwks.json"))
    outputs.write_text((local.state / "outputs.json").read_text())
    with local.client() as http:
        keys = http.get(local.environment["token_url"].replace("oauth2/token", ".well-known/jwks.json"))
    jwks.write_bytes(keys.content)
    told = typist.types(f"gateway password {at}-passwords ada")
    assert (told["changed"], len(told["password"]) > 20) == (False, True)
    # Nobody types.
    typist.types(f"gateway password {at}-passwords bob --ask", code=2)
    assert typist.types(f"gateway key {at}-keys nightly --scope analyses:read")["key"]
    everywhere = (
        "--server-name heartmap.example.org --upstream https://127.0.0.1:8443 --upstream-ca /etc/ca.pem "
        "--upstream-host heartmap.example.org --certificate /etc/c.pem --key /etc/k.pem --listen 127.0.0.1:8445 "
        f"--allow 192.0.2.0/24 --client-rate 100 --outputs {outputs}"
    )
    for kind, more in {
        "nginx": "--trusted-proxy 192.0.2.7/32 --basic-auth --password-file /etc/passwords --log-directory /var/log",
        "apache": "",
        "traefik": "--decision https://127.0.0.1:8447",
        "kong": f"--jwks {jwks} --gateway-keys {at}-keys",
        "azure-apim": "",
    }.items():
        made = typist.types(f"gateway render {kind} --out {at / kind} {everywhere} {more}")
        assert all(Path(file).read_text() for file in made["files"])
    typist.types(f"gateway render nginx --out {at / 'nginx'} --server-name heartmap.example.org --force")


def _data_and_analyses(typist: Typist, cells: Path) -> str:
    """An analysis whose results were read."""
    upload = typist.types(f"upload {cells} --visibility shared --wait")
    assert upload["state"] == "accepted"
    refused = typist.types("upload --source s3://atlas/heart/cells.h5ad", code=1)
    assert refused["error"]["code"] == "source_not_allowed"
    assert upload["upload_id"] in [each["upload_id"] for each in typist.types("uploads list --limit 5")["uploads"]]
    assert typist.types(f"uploads share {upload['upload_id']} private")["visibility"] == "private"
    out = typist.directory / "out"
    done = typist.types(
        f"analyze {upload['upload_id']} --type basic --option resolution=0.8 --visibility shared --wait --output {out}"
    )
    assert (done["state"], bool(done["summary"])) == ("succeeded", True)
    assert {file.name for file in out.iterdir()} == {file["name"] for file in done["files"]}
    analysis = done["analysis_id"]
    assert typist.types(f"results {analysis} --output {typist.directory / 'again'}")["files"]
    assert typist.types(f"jobs show {analysis}")["state"] == "succeeded"
    assert typist.types(f"jobs watch {analysis}")["state"] == "succeeded"
    listed = typist.types("jobs list --mine --state succeeded --type basic --limit 10")["analyses"]
    assert analysis in [each["analysis_id"] for each in listed]
    assert typist.types(f"jobs share {analysis} private")["visibility"] == "private"
    started = typist.types(f"analyze {upload['upload_id']} --type comprehensive")
    assert typist.types(f"jobs cancel {started['analysis_id']}")["state"] == "cancelled"
    return analysis


def _settings(typist: Typist) -> None:
    before = typist.types("config show")
    changed = typist.types(f"config set resolution=0.7 max_cells_subset=5000 --if-version {before['version']}")
    assert {each["field"]: (each["from"], each["to"]) for each in changed["changes"]} == {
        "resolution": (before["config"]["resolution"], 0.7),
        "max_cells_subset": (before["config"]["max_cells_subset"], 5000),
    }
    refused = typist.types(f"config set resolution=0.9 --if-version {before['version']}", code=1)
    assert refused["error"]["code"] == "config_changed"
    assert typist.types("config history --limit 1")["versions"][0]["version"] == changed["version"]
    assert typist.types(f"config restore {before['version']}")["config"] == before["config"]


def _people_and_keys(typist: Typist) -> None:
    pem = typist.directory / "signing.pem"
    made = typist.types(f"keys create nightly --scope analyses:read --expires-in-days 1 --from 127.0.0.0/8 --sign-with {pem}")
    assert made["signed"] is True
    turned = typist.types(f"keys rotate {made['key_id']} --overlap-hours 0 --sign-with {pem}")
    assert turned["key_id"] in [each["key_id"] for each in typist.types("keys list")["keys"]]
    assert typist.types(f"keys revoke {turned['key_id']} --yes")["revoked_at"]
    invited = typist.types(f"users add ada-{secrets.token_hex(4)}@example.org --group viewer")
    name = invited["username"]
    assert name in [each["username"] for each in typist.types("users list --limit 50")["users"]]
    assert typist.types(f"users set-group {name} analyst --yes")["groups"] == ["analyst"]
    assert typist.types(f"users disable {name} --yes")["enabled"] is False
    assert typist.types(f"users enable {name}")["enabled"] is True
    typist.types(f"users reset-mfa {name} --yes")


def _the_trail(typist: Typist, analysis: str) -> None:
    subject = typist.types("whoami")["subject"]
    typist.types("api GET /nowhere", code=1)
    found = typist.types(f"audit search --since 1h --until 0m --principal {subject} --limit 50")["records"]
    assert found
    narrow = " ".join(
        ("--decision allow", "--reason allowed", "--method GET", "--route /config", "--source-ip 127.0.0.1", "--text config")
    )
    typist.types(f"audit search {narrow} --request-id {found[0]['request_id']} --key-id 01J8ZQ4Y7M3W5X9K2B6C1D0EFG")
    (ended,) = typist.types(f"audit search --action analysis_succeeded --resource {analysis}")["records"]
    # One call, from the gateway over the service to the worker.
    story = typist.types(f"audit ask story-of {ended['request_id']} --since 1h --until 0m")["records"]
    assert [record["stream"] for record in story] == ["worker", "service", "authorizer"]
    assert {(record["principal"], record["resource"]) for record in story[:2]} == {(subject, analysis)}
    # From where it came is in the authorizer's record, and shown with those of the others.
    (source,) = {record["source_ip"] for record in story}
    assert source
    read = typist.types(f"audit ask who-read {analysis}")["records"]
    assert {(record["principal"], record["files"] > 1, record["bytes"] > 1) for record in read} == {(subject, True, True)}
    assert {record["source_ip"] for record in read} == {source}
    changed = {record["action"] for record in typist.types(f"audit ask changes-by {subject}")["records"]}
    assert changed >= {"config_changed", "analysis_shared", "create", "rotate", "revoke", "invite", "change"}
    typist.serves(f"audit tail --decision allow --reason allowed --principal {subject}", until="Ctrl-C", code=130)


def _seals(typist: Typist, local: Any) -> None:
    """What was sealed, over the service and from a copy of the bucket."""
    command = [sys.executable, "-m", "local_cloud.scheduler", "--state", str(local.state), "--once"]
    at = {"AWS_ENDPOINT_URL": local.environment["aws_endpoint"], "AWS_REGION": local.environment["region"]}
    subprocess.run(command, cwd=PROJECT, env=os.environ | at, check=True, timeout=SECONDS)
    outputs = json.loads((local.state / "outputs.json").read_text())
    directory, key = typist.directory / "audit", typist.directory / "seals.pem"
    key.write_text(outputs["audit_public_key"])
    s3 = boto3.client("s3", endpoint_url=local.environment["aws_endpoint"], region_name=local.environment["region"])
    for found in s3.list_objects_v2(Bucket=outputs["audit_bucket"], Prefix="application-audit/")["Contents"]:
        copy = directory / found["Key"].partition("/")[2]
        copy.parent.mkdir(parents=True, exist_ok=True)
        s3.download_file(outputs["audit_bucket"], found["Key"], str(copy))
    for what in (f"--until 0m --public-key {key}", f"--directory {directory} --public-key {key}"):
        assert typist.types(f"audit verify --since 24h {what}")["problems"] == []


def _by_the_stacks_own_credentials(typist: Typist) -> None:
    identity, backup, plain = (typist.directory / name for name in ("backups.key", "backup", "plain"))
    recipient = typist.types(f"operate backup-key {identity}")["recipient"]
    assert typist.types(f"operate backup --output {backup} --recipient {recipient}")["encrypted"] is True
    now = datetime.now(UTC).isoformat(timespec="seconds")
    assert typist.types(f"operate backup --output {plain} --unencrypted --at {now}")["encrypted"] is False
    assert typist.types(f"operate verify --input {backup} --identity {identity}")["faults"] == []
    typist.types(f"operate verify --input {plain} --live")
    assert typist.types(f"operate restore --input {backup} --identity {identity} --only api-keys --yes")
    assert typist.types("operate rotate keys --settle 0")["keys"]
    key_id = typist.types("keys create unwanted --scope models:read")["key_id"]
    typist.types(f"operate lock-out {key_id} --yes")
    assert next(key for key in typist.types("keys list")["keys"] if key["key_id"] == key_id)["revoked_at"]
    # What these are for there is in AWS alone; the machine's own environment is refused, and nothing happens.
    typist.types("preflight", code=2)
    typist.types("operate break-glass --reason mending --minutes 15 --device phone -- true", code=2)
    for backed_up in (f"--backup {backup}", "--without-backup"):
        typist.types(f"operate teardown --account 123456789012 {backed_up} --preview --confirm local", code=2)


def test_the_lines_of_the_readme_run_as_written(local: Any, tmp_path: Path) -> None:
    """In a directory that looks like the checkout, where `.local` is this environment."""
    (tmp_path / ".venv").symlink_to(PROJECT / ".venv")
    (tmp_path / ".local").symlink_to(local.state)
    lines = README_LINE.findall((PROJECT / "README.md").read_text())
    assert len(lines) >= 4
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "HEARTMAP_", "PULUMI_"))}
    # No browser is opened; what it is asked to open is for another test.
    variables |= {"HEARTMAP_LOCAL_STATE": str(local.state), "BROWSER": "true"}
    for line in lines:
        words = shlex.split(line, comments=True)
        if words[1] == "console":
            served(words, tmp_path, variables, until="http://", code=0)
            continue
        done = subprocess.run(
            words,
            cwd=tmp_path,
            env=variables,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
    assert any((tmp_path / "out").iterdir())


BEGUN = "01J8ZQ4Y7M3W5X9K2B6C1D0EFG"
"""The upload of the page's examples."""


def shell_blocks(name: str, words: str) -> list[str]:
    """The blocks of a page with these words, without what they show as answers."""
    found = [block for _, block in page(f"docs/{name}").blocks if words in block]
    assert found, f"{name} has no block with {words}"
    return ["".join(line for line in block.splitlines(True) if not line.startswith(("#", "heartmapctl"))) for block in found]


def test_the_recipes_for_a_shell_run_as_written(local: Any, tmp_path: Path) -> None:
    """Those of docs/service.md by curl, one after the other, and that of docs/operators.md."""
    assert local.ctl("login", "--as", "analyst").returncode == 0
    cells = tmp_path / "cells.h5ad"
    cells.symlink_to(local.state / "pbmc68k.h5ad")
    tools = tmp_path / "tools"
    tools.mkdir()
    # Not every machine has it.
    (tools / "uuidgen").write_text("#!/bin/sh\ncat /proc/sys/kernel/random/uuid\n")
    (tools / "uuidgen").chmod(0o755)
    variables = clean_environment() | {
        "HEARTMAP_LOCAL_STATE": str(local.state),
        "CURL_CA_BUNDLE": local.environment["ca_bundle"],
        "PATH": f"{BIN}:{os.environ['PATH']}:{tools}",
    }

    def run(text: str) -> str:
        done = subprocess.run(
            ["bash", "-euc", text], cwd=tmp_path, env=variables, capture_output=True, text=True, timeout=SECONDS, check=False
        )
        assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    (recipe,) = [block for _, block in page("docs/operators.md").blocks if "upload=$(" in block]
    upload_id = run(f'{recipe}echo "$upload"').strip()
    assert json.loads((tmp_path / "results.json").read_text())["state"] == "succeeded"
    (begins,) = shell_blocks("service.md", "call() {")
    begins = begins.replace("https://localhost:8443", local.environment["api"])
    (form,) = shell_blocks("service.md", 'call "$api/uploads" -d')
    begun = json.loads(run(begins + form))
    assert (set(begun) >= {"upload_id", "url", "fields"}, begun["max_bytes"]) == (True, 7340032)
    large = json.loads(run(f"""{begins}call "$api/uploads" -d '{{"bytes": 70000000}}'"""))
    (parts,) = shell_blocks("service.md", "/parts")
    # What S3 would have answered.
    parts = parts.replace('"…"', f'"{"0" * 32}"')
    asked, completed = run(f"upload={large['upload_id']}\n{begins}{parts}").replace("}{", "}\n{").splitlines()
    assert len(json.loads(asked)["parts"]) == 2
    assert json.loads(completed)["code"] == "parts_incomplete", "nothing was sent"
    for analysed in ('call "$api/analyses" -d', "Idempotency-Key"):
        (block,) = shell_blocks("service.md", analysed)
        made = json.loads(run(begins + block.replace(BEGUN, upload_id)))
        assert made["state"] == "queued"
        assert local.ctl("jobs", "cancel", made["analysis_id"]).returncode == 0
