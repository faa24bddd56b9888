import base64
import hmac
import json
from typing import Any

import pytest

from lambda_authorizer.assertion import MAX_LENGTH, Assertion, AssertionRefused, Keys, decode_keys, mint, verify
from lambda_authorizer.encoding import b64url

NOW = 1_800_000_000.75
KEYS = Keys("new", {"old": b"o" * 32, "new": b"n" * 32})
SAID: dict[str, Any] = {
    "principal": "someone",
    "groups": ["viewer", "analyst"],
    "scopes": ["models:read"],
    "route": "/analyses/{analysis_id}",
    "method": "GET",
    "request_id": "r-1",
    "now": NOW,
}


def minted(**changes: Any) -> str:
    return mint(KEYS, **(SAID | changes))


def forged(grant: bytes, *, key: bytes = KEYS.keys["new"], head: str = "v2.new", rest: str = f"{int(NOW)}.r") -> str:
    """What a holder of the key could write but ``mint`` does not."""
    signed = f"{head}.{b64url(grant)}.{rest}"
    return f"{signed}.{hmac.digest(key, signed.encode(), 'sha256').hex()}"


def payload(**changes: Any) -> bytes:
    said = {"sub": "p", "groups": [], "scopes": [], "route": "/", "method": "GET"} | changes
    return json.dumps({name: value for name, value in said.items() if value is not ...}).encode()


def test_a_valid_assertion_says_what_the_authorizer_decided() -> None:
    assert verify(minted(), KEYS.keys, now=NOW) == Assertion(
        "someone", frozenset({"viewer", "analyst"}), frozenset({"models:read"}), "/analyses/{analysis_id}", "GET", "r-1", int(NOW)
    )
    assert verify(forged(payload()), KEYS.keys, now=NOW).principal == "p"


@pytest.mark.parametrize("method", ["GET", "POST", "PATCH", "DELETE"])
@pytest.mark.parametrize("principal", ["a", "ab", "abc", 'q"\\', "\u00e9"])
def test_what_is_written_once_may_have_any_length(method: str, principal: str) -> None:
    said = verify(minted(method=method, principal=principal), KEYS.keys, now=NOW)
    assert (said.method, said.principal) == (method, principal)


def test_the_key_that_signed_before_a_rotation_is_still_good() -> None:
    assert verify(minted(), {"new": b"n" * 32, "newer": b"x" * 32}, now=NOW).principal == "someone"


@pytest.mark.parametrize("late", [-5, 0, 30])
def test_it_is_good_for_half_a_minute(late: int) -> None:
    assert verify(minted(), KEYS.keys, now=int(NOW) + late)


@pytest.mark.parametrize(("late", "reason"), [(30.5, "expired"), (3600, "expired"), (-6, "issued in the future")])
def test_it_is_good_at_no_other_time(late: float, reason: str) -> None:
    with pytest.raises(AssertionRefused, match=reason):
        verify(minted(), KEYS.keys, now=int(NOW) + late)


def test_a_change_to_any_character_is_noticed() -> None:
    text = minted()
    for position, character in enumerate(text):
        changed = text[:position] + ("A" if character != "A" else "B") + text[position + 1 :]
        with pytest.raises(AssertionRefused):
            verify(changed, KEYS.keys, now=NOW)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "v2",
        "v2...",
        "v2.new..",
        minted() + "=",
        minted() + ".x",
        " " + minted(),
        minted() + "\n",
        minted().replace("v2.", "v1."),
        minted().replace("v2.new", "v2.old"),
        minted().replace("v2.new", "v2.other"),
        forged(payload(), key=b"x" * 32),
        forged(payload(), head="v1.new"),
        "v2.new." + "A" * 5000 + ".A",
        "v2.n\u00e9w.e30.AAAA",
        "v2.new.\u00e9.AAAA",
        minted().upper(),
        minted().replace(".r-1.", "."),
        "v2.new.e30.\u00e9",
    ],
)
def test_what_no_key_holder_wrote_is_refused(text: str) -> None:
    with pytest.raises(AssertionRefused):
        verify(text, KEYS.keys, now=NOW)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        payload(sub=...),
        payload(sub=""),
        payload(sub=7),
        payload(groups="viewer"),
        payload(groups=[["viewer"]]),
        payload(scopes=None),
        payload(iat=int(NOW)),
        payload(more=1),
        b'{"sub": "a", ' + payload()[1:],
    ],
)
def test_a_signed_payload_of_another_form_is_refused(body: bytes) -> None:
    with pytest.raises(AssertionRefused, match="malformed payload"):
        verify(forged(body), KEYS.keys, now=NOW)


@pytest.mark.parametrize(
    "rest", ["", ".r", "r", f"{int(NOW)}.", f"-{int(NOW)}.r", f"+{int(NOW)}.r", "1e9.r", f" {int(NOW)}.r", "9" * 13 + ".r"]
)
def test_a_signed_time_or_request_id_of_another_form_is_refused(rest: str) -> None:
    with pytest.raises(AssertionRefused, match="malformed"):
        verify(forged(payload(), rest=rest), KEYS.keys, now=NOW)


@pytest.mark.parametrize("request_id", ["r id", "r\n", "r" * 129])
def test_a_request_id_is_visible_and_short(request_id: str) -> None:
    with pytest.raises(AssertionRefused, match="malformed payload"):
        verify(minted(request_id=request_id), KEYS.keys, now=NOW)


@pytest.mark.parametrize("request_id", ["a.b", ".", "..", "v2.k.e30.1.r"])
def test_a_request_id_may_hold_dots(request_id: str) -> None:
    assert verify(minted(request_id=request_id), KEYS.keys, now=NOW).request_id == request_id


def test_the_tag_is_the_standard_librarys_hmac() -> None:
    signed, _, tag = minted().rpartition(".")
    assert tag == hmac.digest(KEYS.keys["new"], signed.encode(), "sha256").hex()


def test_it_is_as_long_as_it_may_be() -> None:
    # Base64url has no text of every length: with an id of four letters there is one of the bound's.
    keys = {"four": b"f" * 32}
    texts = {len(text): text for text in (forged(payload(sub="s" * n), key=b"f" * 32, head="v2.four") for n in range(2850, 2960))}
    assert verify(texts[MAX_LENGTH], keys, now=NOW)
    with pytest.raises(AssertionRefused, match="malformed"):
        verify(texts[min(length for length in texts if length > MAX_LENGTH)], keys, now=NOW)


def test_keys_are_read_from_the_secret() -> None:
    assert decode_keys({"k": base64.b64encode(b"x" * 32).decode()}) == {"k": b"x" * 32}


@pytest.mark.parametrize(
    "given",
    [
        None,
        {},
        [],
        "k",
        {"k": ""},
        {"k": 7},
        {"k": "é"},
        {"k": "!" * 44},
        {"k": "!" + base64.b64encode(b"x" * 32).decode()},
        {"k": base64.b64encode(b"x" * 31).decode()},
        {"a.b": "x"},
        {"": "x"},
    ],
)
def test_malformed_keys_are_refused(given: object) -> None:
    with pytest.raises(ValueError, match=r"assertion[_ ]key"):
        decode_keys(given)
