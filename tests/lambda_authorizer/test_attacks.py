import json
import re
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lambda_authorizer import aws
from lambda_authorizer.reasons import Refused
from tests.lambda_authorizer.attacks import ALLOW, BASES, FAULT, UNAUTHORIZED, Attack, Build, World, attacks
from tests.lambda_authorizer.test_tokens import NOW, _joserfc_refuses, _pyjwt_refuses, verifier

ATTACKS = tuple(attacks())


@pytest.fixture
def world(
    pool, other_pool, make_event: Callable[..., Any], environ: dict[str, str], names, monkeypatch: pytest.MonkeyPatch
) -> World:
    """The world at one moment, with an AWS that answers at once."""
    monkeypatch.setattr(time, "time", lambda: NOW)
    world = World(pool=pool, other_pool=other_pool, event=make_event, environ=environ, pepper=names.pepper, now=NOW)
    monkeypatch.setattr(aws.Aws, "call", lambda _, *args, **kwargs: world.call(*args, **kwargs))
    return world


def test_there_are_500_attacks_and_each_has_a_name_of_its_own() -> None:
    assert len(ATTACKS) >= 500
    assert [name for name, count in Counter(f"{attack.family}: {attack.name}" for attack in ATTACKS).items() if count > 1] == []
    assert {attack.family for attack in ATTACKS} <= BASES.keys()
    # One that may go through is none.
    assert {attack.outcome for attack in ATTACKS} == {UNAUTHORIZED, "deny", FAULT}


@pytest.mark.parametrize("base", BASES.values(), ids=BASES.keys())
def test_what_the_attacks_change_is_allowed(world: World, base: Build) -> None:
    event = base(world)
    kind, answer = world.decide(event)
    assert kind == ALLOW
    assert answer is not None
    assert answer["policyDocument"]["Statement"][0]["Resource"] == event["methodArn"]


@pytest.mark.parametrize("attack", ATTACKS, ids=[f"{attack.family}: {attack.name}" for attack in ATTACKS])
def test_no_attack_is_allowed(world: World, attack: Attack, capsys: pytest.CaptureFixture[str]) -> None:
    event = attack.build(world)
    capsys.readouterr()
    kind, answer = world.decide(event)
    output = capsys.readouterr()
    assert kind == attack.outcome
    line = json.loads(output.out)
    assert re.fullmatch(attack.reason, line["reason"]), line["reason"]
    assert line["decision"] == {"deny": "deny", UNAUTHORIZED: "unauthenticated", FAULT: "error"}[kind]
    if answer is not None:
        assert answer["policyDocument"]["Statement"] == [
            {"Action": "execute-api:Invoke", "Effect": "Deny", "Resource": event["methodArn"]}
        ]
        assert "assertion" not in answer["context"]
    assert not any(secret in output.out + output.err + json.dumps(answer) for secret in _secrets(event))


def _secrets(event: Any) -> set[str]:
    """The parts of the credential that nobody may read in a log: the secret of a key, the signature of a token."""
    headers = event.get("headers") if isinstance(event, dict) else None
    values = [value for value in (headers or {}).values() if isinstance(value, str)] if isinstance(headers, dict) else []
    return {
        part for value in values for part in re.split(r"[._ ,]", value) if 40 < len(part) < 400 and "authorization" not in part
    }


TOKEN_ATTACKS = [attack for attack in ATTACKS if attack.family == "token" and attack.reason.startswith("token_")]


def test_whatever_both_oracles_refuse_is_refused_and_most_that_one_accepts(world: World, pool, names) -> None:
    """PyJWT and joserfc know nothing of issuers, clients and uses here; no attack that they see through comes past us."""
    seen: Counter[tuple[bool, bool]] = Counter()
    for attack in TOKEN_ATTACKS:
        event = attack.build(world)
        token = event["headers"]["Authorization"].removeprefix("Bearer ")
        oracles = _refuses(_pyjwt_refuses, token, pool), _refuses(_joserfc_refuses, token, pool)
        seen[oracles] += 1
        with pytest.raises(Refused):
            verifier(pool, names).verify(token, now=NOW, deadline=1)
    # The oracles work: they refuse hundreds, and what they accept is what generic libraries leave to their callers.
    assert seen[True, True] > 200
    assert seen[False, False] > 50


def _refuses(oracle: Callable[[str, Any], bool], token: str, pool: Any) -> bool:
    try:
        return oracle(token, pool)
    except Exception:  # noqa: BLE001  # an oracle that breaks does not accept
        return True


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_an_edited_token_is_refused_whatever_the_edit(world: World, pool, names, data: st.DataObject) -> None:
    token = world.token()
    edited = token
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(edited)))
        end = data.draw(st.integers(start, min(len(edited), start + 3)))
        alphabet = st.sampled_from("ABCabc019-_.=+/ \n\0\u00e9") | st.characters()
        edited = edited[:start] + data.draw(st.text(alphabet, max_size=3)) + edited[end:]
    if edited == token:
        return
    with pytest.raises(Refused):
        verifier(pool, names).verify(edited, now=NOW, deadline=1)
