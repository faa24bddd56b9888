"""What a rotation does to the keys: the next one signs from now on, another is made to be the next.

Whoever verifies an assertion knows a key one rotation before it signs, and until one rotation after: so a task that still runs
with what the rotation before wrote verifies what this one signs, and a process that still signs with the key before is verified.
"""

import base64
import json
import secrets as random
from typing import Any

from lambda_authorizer.assertion import KEY_BYTES, Keys
from lambda_authorizer.secret_store import parse

KEY_ID_BYTES = 8


def rotated(secret: str) -> str:
    """The secret (JSON text, as ``secret_store`` documents it) after a rotation. The pepper stays, or no API key were valid.

    A secret with one key alone, as older stacks have it, only gets its next one: nobody knows that yet, so that it cannot sign.
    Raises ValueError, with nothing of the secret in its text, for one that is malformed or has more than these two keys.
    """
    parse(secret.encode("utf-8"))
    content = json.loads(secret)
    keys, current = content["assertion_keys"], content["current_assertion_key"]
    following = [key_id for key_id in keys if key_id != current]
    if len(following) > 1:
        raise ValueError("the secret has more keys than one that signs and one that will")
    signing = following[0] if following else current
    fresh = base64.b64encode(random.token_bytes(KEY_BYTES)).decode("ascii")
    kept = {signing: keys[signing], f"k{random.token_hex(KEY_ID_BYTES)}": fresh}
    return json.dumps({**content, "assertion_keys": kept, "current_assertion_key": signing})


def service_document(before: str, after: str) -> str:
    """What the service verifies by while authorizers change from one secret to the other: all keys of the new one, and the one
    that signed. Raises ValueError as ``rotated`` does."""
    for secret in (before, after):
        parse(secret.encode("utf-8"))
    old, new = json.loads(before), json.loads(after)
    signed = old["current_assertion_key"]
    keys = {signed: old["assertion_keys"][signed], **new["assertion_keys"]}
    return json.dumps({"assertion_keys": keys}, sort_keys=True)


def without_keys(secret: str) -> dict[str, Any]:
    """What of the secret a rotation of the keys leaves as it is: the peppers."""
    content = json.loads(secret)
    return {name: value for name, value in content.items() if name not in ("assertion_keys", "current_assertion_key")}


def signing_keys(secret: str) -> Keys:
    """The keys as the authorizer uses them. Raises ValueError."""
    return parse(secret.encode("utf-8")).assertion_keys
