"""Why a call about keys is refused, in the words that it is answered with. None of them holds anything that a caller sent."""

from lambda_authorizer.problems import Problem

NOT_FOUND = Problem(404, "Not Found", "key_not_found", "There is no such key. GET /keys lists them.")
REVOKED = Problem(409, "Conflict", "key_revoked", "This key is revoked: make a new one with POST /keys.")
ENDED = Problem(409, "Conflict", "key_ended", "This key has ended: make a new one with POST /keys.")
REPLACED = Problem(
    409, "Conflict", "key_replaced", "Another key has taken this one's place, as GET /keys says: rotate that one instead."
)
NOT_ROTATABLE = Problem(
    409,
    "Conflict",
    "key_not_rotatable",
    "This key was not made with POST /keys, so that nothing says what the next one should be. Make a new one, and revoke it.",
)
SIGNING_KEY_REQUIRED = Problem(
    400,
    "Bad Request",
    "signing_key_required",
    "A key with one of these scopes has to sign its calls: give the Ed25519 public key of the program as signing_key.",
)
