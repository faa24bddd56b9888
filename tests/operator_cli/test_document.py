"""docs/api-keys.md: its recipes are run as they stand there, its commands are typed, its tables are compared."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from typer.testing import CliRunner

from lambda_authorizer import signature
from lambda_authorizer.access_policy import ACCESS_POLICY, SCOPES
from operator_cli.main import app
from operator_cli.signing import load_or_make

DOCUMENT = (Path(__file__).parents[2] / "docs" / "api-keys.md").read_text()
KEY_ID = "01J8ZQ4Y7M3W5X9K2B6C1D0EFG"
# The secret of a key may hold what separates its parts.
KEY = f"hm_local_{KEY_ID}_{'s_-' * 15}"

needs_curl = pytest.mark.skipif(not (shutil.which("curl") and shutil.which("openssl")), reason="needs curl and openssl")


def block(language: str) -> str:
    """The one block of that language."""
    [found] = re.findall(rf"^```{language}\n(.*?)^```$", DOCUMENT, re.DOTALL | re.MULTILINE)
    return found


class Recipe:
    """Runs a recipe against the fake API."""

    def __init__(self, server: Any, bundle: Path, directory: Path) -> None:
        self.server, self.directory = server, directory
        file = directory / "key.pem"
        self.key: Ed25519PrivateKey = load_or_make(file)[0]
        self.surroundings = {
            "PATH": os.environ["PATH"],
            "HEARTMAP_API": server.url,
            "HEARTMAP_API_KEY": KEY,
            "HEARTMAP_SIGNING_KEY_FILE": str(file),
            "SSL_CERT_FILE": str(bundle),
            "CURL_CA_BUNDLE": str(bundle),
        }

    def run(self, *command: str) -> str:
        done = subprocess.run(
            command, env=self.surroundings, cwd=self.directory, capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def verified(self, request: Any) -> signature.Signed:
        """What the authorizer and the service make of a request. Raises Refused."""
        parts = urlsplit(request.path)
        signed = signature.read(
            {name: [value] for name, value in request.headers.items()},
            method=request.method,
            path=parts.path,
            parameters=parse_qs(parts.query, keep_blank_values=True),
        )
        signature.verify(signed, key_id=KEY_ID, public_key=self.key.public_key().public_bytes_raw(), now=time.time())
        assert request.headers["content-digest"] == signature.content_digest(request.body)
        assert request.headers["authorization"] == f"ApiKey {KEY}"
        return signed


@pytest.fixture
def recipe(server: Any, certificates: Any, tmp_path: Path, reply: Any) -> Recipe:
    server.routes |= {
        ("GET", "/config"): reply(200, {"min_genes": 200}),
        ("POST", "/config"): reply(200, {"min_genes": 250}),
        ("GET", "/analyses"): reply(200, {"analyses": []}),
        ("POST", "/analyze"): reply(202, {}),
    }
    return Recipe(server, certificates[0], tmp_path)


def test_the_recipe_in_python_is_what_the_authorizer_takes(recipe: Recipe) -> None:
    program = block("python")
    imported = {line.split()[1].partition(".")[0] for line in program.splitlines() if re.match(r"(import|from) ", line)}
    assert imported - sys.stdlib_module_names == {"httpx", "cryptography"}
    (recipe.directory / "recipe.py").write_text(program)
    assert recipe.run(sys.executable, "recipe.py") == "{'min_genes': 200}\n{'min_genes': 250}\n"
    first, second = recipe.server.seen
    assert (second.method, second.json) == ("POST", {"min_genes": 250})
    assert recipe.verified(first).nonce != recipe.verified(second).nonce


def test_the_recipe_in_python_signs_queries_and_forms_as_well(recipe: Recipe) -> None:
    program = block("python").partition("with httpx.Client")[0] + (
        "with httpx.Client(base_url=os.environ['HEARTMAP_API'], auth=Signed()) as client:\n"
        "    client.get('/analyses', params=[('b', '2 3'), ('a', '/é~'), ('b', '')]).raise_for_status()\n"
        "    client.post('/analyze', files={'file': b'HDF' * 100_000}).raise_for_status()\n"
    )
    (recipe.directory / "recipe.py").write_text(program)
    recipe.run(sys.executable, "recipe.py")
    asked, sent = recipe.server.seen
    assert asked.path == "/analyses?a=%2F%C3%A9~&b=&b=2%203"
    recipe.verified(asked)
    recipe.verified(sent)


@needs_curl
def test_the_recipe_with_curl_is_what_the_authorizer_takes(recipe: Recipe) -> None:
    (recipe.directory / "change.json").write_text('{"min_genes": 250}\n')
    (recipe.directory / "recipe.sh").write_text(block("sh"))
    assert recipe.run("sh", "-eu", "recipe.sh") == '{"min_genes": 250}'
    [sent] = recipe.server.seen
    assert (sent.method, sent.path, sent.json) == ("POST", "/config", {"min_genes": 250})
    recipe.verified(sent)


@needs_curl
def test_the_recipe_with_curl_signs_queries_and_calls_without_a_body(recipe: Recipe) -> None:
    first, rest = block("sh").split("\n", 1)
    assert first.startswith("method=POST path=/config query= body=change.json ")
    (recipe.directory / "recipe.sh").write_text(f"method=GET path=/analyses query='a=1&b=2%203' body=/dev/null\n{rest}")
    recipe.run("sh", "-eu", "recipe.sh")
    [sent] = recipe.server.seen
    assert (sent.method, sent.path, sent.body) == ("GET", "/analyses?a=1&b=2%203", b"")
    recipe.verified(sent)


@needs_curl
def test_the_secret_of_the_key_is_on_no_command_line(recipe: Recipe) -> None:
    """A curl of ours looks at what it was started with, and the files of the recipe are gone."""
    tools = recipe.directory / "tools"
    tools.mkdir()
    (tools / "curl").write_text('#!/bin/sh\nprintf "%s\\n" "$@"\ncat > headers\n')
    (tools / "curl").chmod(0o755)
    (recipe.directory / "change.json").write_text("{}")
    (recipe.directory / "recipe.sh").write_text(block("sh"))
    recipe.surroundings |= {"PATH": f"{tools}:{os.environ['PATH']}", "TMPDIR": str(recipe.directory)}
    assert KEY not in recipe.run("sh", "-eu", "recipe.sh")
    assert f"Authorization: ApiKey {KEY}" in (recipe.directory / "headers").read_text()
    assert {file.name for file in recipe.directory.iterdir()} >= {"headers"}
    assert not list(recipe.directory.glob("tmp.*"))


def commands() -> list[str]:
    """The lines of the blocks that are of no language."""
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", DOCUMENT, re.DOTALL | re.MULTILINE)
    return [line for language, text in blocks if not language for line in text.splitlines() if line.startswith("heartmapctl ")]


def test_there_are_commands_of_every_verb_but_the_list() -> None:
    assert {" ".join(line.split()[1:3]) for line in commands()} >= {"keys create", "keys rotate", "keys revoke"}


@pytest.mark.parametrize("line", commands())
def test_each_command_is_one_that_can_be_typed(line: str, service: Any, reply: Any, monkeypatch: Any, tmp_path: Path) -> None:
    now = int(time.time())
    record = {"key_id": KEY_ID, "name": "n", "scopes": [], "signed": False, "created_at": now, "expires_at": now, "key": KEY}
    service.server.routes |= {
        ("POST", "/keys"): reply(201, record),
        ("POST", f"/keys/{KEY_ID}/rotate"): reply(201, record),
        ("DELETE", f"/keys/{KEY_ID}"): reply(200, record),
    }
    monkeypatch.chdir(tmp_path)
    Path("cells.h5ad").write_bytes(b"\x89HDF\r\n\x1a\n")
    words = shlex.split(line)[1:]
    result = CliRunner().invoke(app, [*words, *(["--as", "analyst"] if words == ["login"] else [])], catch_exceptions=False)
    assert result.exit_code == 0, result.output


def test_the_table_of_scopes_is_the_access_policys() -> None:
    rows = dict(re.findall(r"^\| `(\w+:\w+)` \| (.*) \|$", DOCUMENT, re.MULTILINE))
    assert set(rows) == SCOPES
    for scope, routes in rows.items():
        opened = [f"`{rule.method} {rule.route}`" for rule in ACCESS_POLICY if scope in rule.scopes]
        assert routes == ", ".join(opened)


def test_what_every_key_opens_and_what_has_to_be_signed_is_the_access_policys() -> None:
    assert [f"{rule.method} {rule.route}" for rule in ACCESS_POLICY if rule.any_principal] == ["GET /", "GET /health"]
    assert {scope for rule in ACCESS_POLICY if rule.sign_in_age for scope in rule.scopes} == {"config:write"}


def test_the_headers_are_in_the_form_that_is_taken() -> None:
    parameters = signature.parameters(created=1, nonce="n" * 16, key_id="k" * 8)
    form = re.sub(r"created=[^;]*;", "created=<seconds>;", parameters)
    form = re.sub(r'nonce="[^"]*"', 'nonce="<random>"', form)
    form = re.sub(r'keyid="[^"]*"', 'keyid="<public id>"', form)
    assert f"\nSignature-Input: sig1={form}\n" in DOCUMENT
    message = signature.Message("POST", "api.example.org", "/analyses", {}, "sha-256=:…:")
    shown = re.sub(r"created=[^;]*;", "created=…;", parameters)
    shown = re.sub(r'"(n+|k+)"', '"…"', shown)
    assert f"```\n{signature.base(message, shown).decode()}\n```" in DOCUMENT
