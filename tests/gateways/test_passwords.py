"""Password files as nginx and Apache read them, and the verbs that make them."""

import ctypes
import ctypes.util
import json
import os
import stat
from pathlib import Path

import bcrypt
import pytest
from typer.testing import CliRunner, Result

from gateways import passwords
from gateways.example import OUTPUTS, key_set
from gateways.model import GatewayError
from gateways.render import KINDS
from operator_cli.main import app

TYPED = "correct horse battery staple"


def run(*words: str, typed: str = "") -> Result:
    return CliRunner().invoke(app, ["gateway", *words], input=typed, catch_exceptions=False)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "passwords"


@pytest.fixture
def outputs(tmp_path: Path) -> str:
    made = tmp_path / "outputs.json"
    made.write_text(json.dumps(OUTPUTS))
    return str(made)


# The file


def test_a_line_is_a_name_and_a_hash_that_the_system_takes() -> None:
    name, _, digest = passwords.line("alice@example.org", TYPED, cost=passwords.GENERATED_COST).partition(":")
    assert name == "alice@example.org"
    assert digest.startswith(f"$2y${passwords.GENERATED_COST:02}$")
    assert bcrypt.checkpw(TYPED.encode(), digest.encode())
    # nginx asks crypt(3).
    library = ctypes.util.find_library("crypt")
    if library is None:
        assert os.environ.get("CI") != "true", "libcrypt has to be installed"
        pytest.skip("this system has no crypt(3)")
    crypt = ctypes.CDLL(library).crypt
    crypt.restype = ctypes.c_char_p
    assert crypt(TYPED.encode(), digest.encode()) == digest.encode()


def test_two_names_with_one_password_have_two_hashes() -> None:
    digests = {passwords.line("alice", TYPED, cost=passwords.GENERATED_COST) for _ in range(2)}
    assert len(digests) == 2


def test_what_is_generated_cannot_be_guessed() -> None:
    made = {passwords.generate() for _ in range(100)}
    assert len(made) == 100
    assert passwords.GENERATED_BYTES >= 16
    assert all(len(each) >= passwords.SHORTEST for each in made)


def test_a_typed_password_has_a_slower_hash() -> None:
    assert passwords.TYPED_COST >= 10


@pytest.mark.parametrize("name", ["", "a:b", "a b", "a\nb", "-a", "é", "a" * 65], ids=ascii)
def test_a_name_that_would_break_the_file_is_refused(name: str) -> None:
    with pytest.raises(GatewayError, match="USER"):
        passwords.line(name, TYPED, cost=4)


@pytest.mark.parametrize("password", ["", "thirteen char", "x" * 73, "é" * 37, "with a\nline break"], ids=range(5))
def test_a_password_that_will_not_do_is_refused_and_not_told(password: str) -> None:
    with pytest.raises(GatewayError) as refused:
        passwords.line("alice", password, cost=4)
    assert not password or password not in str(refused.value)


def test_lines_are_added_and_changed_and_others_stay(file: Path) -> None:
    assert not passwords.change(file, "alice", TYPED, cost=4)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    file.chmod(0o640)
    assert not passwords.change(file, "bob", TYPED, cost=4)
    alice = file.read_text().splitlines()[0]
    assert passwords.change(file, "bob", TYPED + "!", cost=4)
    lines = file.read_text().splitlines()
    assert [each.partition(":")[0] for each in lines] == ["alice", "bob"]
    assert lines[0] == alice
    assert bcrypt.checkpw((TYPED + "!").encode(), lines[1].partition(":")[2].encode())
    # The server's user may go on reading it.
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert [each.name for each in file.parent.iterdir()] == ["passwords"]


def test_a_change_that_fails_leaves_the_file_as_it_was(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    passwords.change(file, "alice", TYPED, cost=4)
    before = file.read_bytes()

    def full(*_: object) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(os, "chown", full)
    with pytest.raises(OSError, match="full"):
        passwords.change(file, "bob", TYPED, cost=4)
    assert file.read_bytes() == before
    assert [each.name for each in file.parent.iterdir()] == ["passwords"]


# The verbs


def test_a_password_is_made_and_printed_once(file: Path) -> None:
    result = run("password", str(file), "alice")
    assert result.exit_code == 0
    word = result.stdout.strip()
    digest = file.read_text().strip().partition(":")[2]
    assert bcrypt.checkpw(word.encode(), digest.encode())
    assert word not in result.stderr
    told = json.loads(run("password", str(file), "alice", "--json").stdout)
    assert (told["user"], told["changed"]) == ("alice", True)
    assert bcrypt.checkpw(told["password"].encode(), file.read_text().strip().partition(":")[2].encode())


def test_a_password_is_taken_from_standard_input_and_told_nowhere(file: Path) -> None:
    result = run("password", str(file), "alice", "--ask", "--json", typed=f"{TYPED}\n")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["password"] is None
    assert TYPED not in result.output
    digest = file.read_text().strip().partition(":")[2]
    assert digest.startswith(f"$2y${passwords.TYPED_COST}$")
    assert bcrypt.checkpw(TYPED.encode(), digest.encode())


@pytest.mark.parametrize(
    ("user", "typed"), [("a:b", f"{TYPED}\n"), ("alice", "short\n"), ("alice", "")], ids=["name", "short", "none"]
)
def test_what_will_not_do_is_wrong_use(file: Path, user: str, typed: str) -> None:
    assert run("password", str(file), user, "--ask", typed=typed).exit_code == 2
    assert not file.exists()


def test_a_gateway_key_is_printed_once_and_its_digest_kept(tmp_path: Path) -> None:
    keys = tmp_path / "keys.json"
    told = json.loads(run("key", str(keys), "nightly", "--scope", "analyses:read", "--json").stdout)
    assert told["key"] not in keys.read_text()
    assert stat.S_IMODE(keys.stat().st_mode) == 0o600
    assert run("key", str(keys), "Not A Name", "--scope", "analyses:read").exit_code == 2


@pytest.mark.parametrize(
    "words",
    [
        ("password", "{}/passwords", "alice"),
        ("key", "{}/passwords", "nightly", "--scope", "analyses:read"),
        ("password", "{}/nowhere/passwords", "alice"),
        ("key", "{}/nowhere/keys.json", "nightly", "--scope", "analyses:read"),
    ],
    ids=["passwords", "keys", "passwords-nowhere", "keys-nowhere"],
)
def test_a_file_that_is_none_of_ours_is_named_and_stays(tmp_path: Path, words: tuple[str, ...]) -> None:
    file = tmp_path / "passwords"
    file.write_bytes(b"\xff\xfe\x00")
    result = run(*(word.format(tmp_path) for word in words))
    assert (result.exit_code, result.stdout) == (2, "")
    assert "is not a text file" in result.stderr or f"There is no directory {tmp_path}/nowhere" in result.stderr
    assert [(each.name, each.read_bytes()) for each in tmp_path.iterdir()] == [("passwords", b"\xff\xfe\x00")]


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_rendered_from_outputs(tmp_path: Path, outputs: str, kind: str) -> None:
    out = tmp_path / "out"
    jwks = tmp_path / "jwks.json"
    jwks.write_bytes(key_set())
    more = ["--jwks", str(jwks)] if kind == "kong" else ["--decision", "https://127.0.0.1:8444"] if kind == "traefik" else []
    words = ["--server-name", "heartmap.example.org", "--upstream-host", "heartmap.example.org", "--outputs", outputs, *more]
    result = run("render", kind, "--out", str(out), *words, "--json", "--environment", "prod")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert told["kind"] == kind
    assert told["files"]
    for name in told["files"]:
        assert Path(name).is_relative_to(out)
        assert stat.S_IMODE(Path(name).stat().st_mode) & 0o133 == 0
    # As often as one likes, but not over what somebody changed.
    assert run("render", kind, "--out", str(out), *words).exit_code == 0
    Path(told["files"][0]).write_text("mine")
    assert run("render", kind, "--out", str(out), *words).exit_code == 2
    assert run("render", kind, "--out", str(out), *words, "--force").exit_code == 0


def test_options_reach_the_rendering(tmp_path: Path, outputs: str) -> None:
    words = (
        *(
            "--server-name",
            "api.example.org",
            "--upstream",
            "https://10.0.0.7:1234",
            "--upstream-ca",
            "/etc/a.pem",
            "--key",
            "/etc/k.pem",
        ),
        *(
            "--upstream-host",
            "b.example.org",
            "--certificate",
            "/etc/c.pem",
            "--listen",
            "127.0.0.1:4443",
            "--allow",
            "192.0.2.0/24",
        ),
        *(
            "--trusted-proxy",
            "10.1.0.0/16",
            "--basic-auth",
            "--password-file",
            "/etc/p",
            "--client-rate",
            "77",
            "--log-directory",
            "/l",
        ),
    )
    assert run("render", "nginx", "--out", str(tmp_path), "--outputs", outputs, *words).exit_code == 0
    text = (tmp_path / "heartmap.conf").read_text()
    for line in (
        *(
            "server_name api.example.org;",
            "server 10.0.0.7:1234;",
            "proxy_ssl_trusted_certificate /etc/a.pem;",
            "192.0.2.0/24 1;",
        ),
        *("ssl_certificate_key /etc/k.pem;", "proxy_ssl_name b.example.org;", "ssl_certificate /etc/c.pem;", "rate=77r/m;"),
        *("listen 127.0.0.1:4443 ssl", "set_real_ip_from 10.1.0.0/16;", "auth_basic_user_file /etc/p;", "access_log /l/heartmap"),
    ):
        assert line in text, line


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--server-name", "Not a name"], "--server-name"),
        (["--server-name", "a.example.org", "--allow", "everybody"], "--allow"),
        (["--server-name", "a.example.org", "--upstream", "http://a:1"], "--upstream"),
    ],
    ids=["name", "range", "upstream"],
)
def test_an_option_that_will_not_do_is_wrong_use(tmp_path: Path, outputs: str, words: list[str], told: str) -> None:
    result = run("render", "nginx", "--out", str(tmp_path / "out"), "--outputs", outputs, *words)
    assert result.exit_code == 2
    assert told in result.stderr
    assert not (tmp_path / "out").exists()


def test_outputs_that_are_none_are_told(tmp_path: Path) -> None:
    wrong = tmp_path / "outputs.json"
    for text, code in (("[]", 1), ("nonsense", 1), ("{}", 2)):
        wrong.write_text(text)
        result = run("render", "nginx", "--out", str(tmp_path), "--outputs", str(wrong), "--server-name", "a.example.org")
        assert result.exit_code == code
        assert "pulumi stack output" in result.stderr
