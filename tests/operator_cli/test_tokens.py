import json
import time
from pathlib import Path
from typing import Any

import keyring
import keyring.backend
import pytest
from keyring.errors import KeyringLocked, PasswordDeleteError

from operator_cli.environments import Environment
from operator_cli.tokens import Tokens, TokenStore, claims_of
from operator_cli.vocabulary import EnvironmentName


class Keyring(keyring.backend.KeyringBackend):
    """A real keyring in its form, in memory."""

    priority = 5  # pyright: ignore[reportAssignmentType]  (keyring declares a property and documents a class attribute)

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[tuple[str, str], str] = {}
        self.locked = False

    def get_password(self, service: str, username: str) -> str | None:
        if self.locked:
            raise KeyringLocked
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        if self.locked:
            raise KeyringLocked
        self.kept[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        if self.kept.pop((service, username), None) is None:
            raise PasswordDeleteError


@pytest.fixture
def system_keyring(monkeypatch: pytest.MonkeyPatch) -> Keyring:
    backend = Keyring()
    monkeypatch.setattr(keyring, "get_keyring", lambda: backend)
    return backend


@pytest.fixture
def dev(environment: Environment) -> Environment:
    return environment.model_copy(update={"name": EnvironmentName.DEV})


def tokens(mark: str = "a") -> Tokens:
    return Tokens(access_token=f"access-{mark}", refresh_token=f"refresh-{mark}", expires_at=time.time() + 3600)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_the_file_and_its_directory_are_the_owners_alone(environment: Environment, state: Path, monkeypatch: Any) -> None:
    import os

    before = os.umask(0)
    try:
        assert TokenStore(environment).save(tokens()) == "file"
    finally:
        os.umask(before)
    (file,) = (state / "heartmapctl").glob("*.json")
    assert mode(file) == 0o600
    assert mode(file.parent) == 0o700
    assert [each.name for each in file.parent.iterdir()] == [file.name]


def test_a_file_that_others_could_read_is_replaced_by_one_that_they_cannot(environment: Environment, state: Path) -> None:
    store = TokenStore(environment)
    store.save(tokens())
    (file,) = (state / "heartmapctl").glob("*.json")
    file.chmod(0o644)
    store.save(tokens("b"))
    assert mode(file) == 0o600


def test_a_link_in_the_files_place_is_replaced_not_followed(environment: Environment, state: Path, tmp_path: Path) -> None:
    store = TokenStore(environment)
    store.save(tokens())
    (file,) = (state / "heartmapctl").glob("*.json")
    file.unlink()
    file.symlink_to(tmp_path / "elsewhere")
    store.save(tokens())
    assert not (tmp_path / "elsewhere").exists()


def test_a_real_keyring_is_used_and_no_file_written(dev: Environment, system_keyring: Keyring, tmp_path: Path) -> None:
    store = TokenStore(dev)
    assert store.save(tokens()) == "keyring"
    assert not list(tmp_path.rglob("dev-*.json"))
    assert store.load() == (tokens_of(system_keyring), "keyring")
    store.clear()
    assert store.load() is None
    assert system_keyring.kept == {}


def tokens_of(backend: Keyring) -> Tokens:
    (text,) = backend.kept.values()
    return Tokens.model_validate_json(text)


def test_the_local_environment_never_uses_the_keyring(environment: Environment, system_keyring: Keyring, state: Path) -> None:
    assert TokenStore(environment).save(tokens()) == "file"
    assert system_keyring.kept == {}
    assert list((state / "heartmapctl").glob("local-*.json"))


def test_a_locked_keyring_falls_back_to_the_file(dev: Environment, system_keyring: Keyring, tmp_path: Path) -> None:
    system_keyring.locked = True
    store = TokenStore(dev)
    assert store.save(tokens()) == "file"
    (file,) = tmp_path.rglob("dev-*.json")
    assert mode(file) == 0o600
    found = store.load()
    assert found is not None
    assert found[1] == "file"


def test_the_file_goes_when_the_keyring_takes_over(dev: Environment, system_keyring: Keyring, tmp_path: Path) -> None:
    system_keyring.locked = True
    TokenStore(dev).save(tokens("old"))
    system_keyring.locked = False
    assert TokenStore(dev).save(tokens("new")) == "keyring"
    assert not list(tmp_path.rglob("dev-*.json"))


def test_a_backend_that_keeps_plain_text_or_nothing_is_no_keyring(
    dev: Environment, system_keyring: Keyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Keyring, "priority", 0.5)
    assert TokenStore(dev).save(tokens()) == "file"
    assert system_keyring.kept == {}


def test_without_a_keyring_the_file_is_used(dev: Environment) -> None:
    assert TokenStore(dev).save(tokens()) == "file"


@pytest.mark.parametrize(
    "change", [{"issuer": "https://other.example/pool"}, {"client_id": "other"}, {"name": EnvironmentName.PROD}]
)
def test_another_pool_client_or_environment_has_another_session(environment: Environment, change: dict[str, Any]) -> None:
    TokenStore(environment).save(tokens())
    assert TokenStore(environment.model_copy(update=change)).load() is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"access_token": ""}', "\x00"])
def test_a_damaged_file_is_no_session(environment: Environment, state: Path, text: str) -> None:
    store = TokenStore(environment)
    store.save(tokens())
    (file,) = (state / "heartmapctl").glob("*.json")
    file.write_text(text)
    assert store.load() is None


def test_a_token_that_is_about_to_end_is_not_fresh() -> None:
    assert not Tokens(access_token="a", expires_at=time.time() + 30).fresh
    assert Tokens(access_token="a", expires_at=time.time() + 120).fresh


def test_tokens_are_not_in_the_representation() -> None:
    assert "access-a" not in repr(tokens())
    assert "refresh-a" not in repr(tokens())


@pytest.mark.parametrize("text", ["", "a", "a.b", "a.b.c", "a.W10.c", "a.!!!!.c", "a.b.c.d", "é.é.é"])
def test_what_is_not_a_jwt_has_no_claims(text: str) -> None:
    with pytest.raises(ValueError, match="not a JWT"):
        claims_of(text)


def test_claims_are_read_with_any_length_of_padding() -> None:
    import base64

    for name in ("a", "ab", "abc", "abcd"):
        payload = base64.urlsafe_b64encode(json.dumps({"sub": name}).encode()).rstrip(b"=").decode()
        assert claims_of(f"x.{payload}.y") == {"sub": name}
