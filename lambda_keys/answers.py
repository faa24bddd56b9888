"""Why a call is refused, in the words that it is answered with. None of them holds anything that a caller sent."""

from collections.abc import Sequence

from lambda_authorizer.problems import Problem

UNAUTHENTICATED = Problem(
    401, "Unauthorized", "unauthenticated", "The call did not come through the API's gateway. Call the API's own address."
)
WRONG_ROUTE = Problem(403, "Forbidden", "wrong_route", "The call is not the one that was authorised.")
FORBIDDEN = Problem(403, "Forbidden", "forbidden", "Your role does not allow this. Ask an administrator for the group that does.")
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
CONTENT_DIGEST_INVALID = Problem(
    400, "Bad Request", "content_digest_invalid", "Send one Content-Digest, of the form sha-256=:base64:."
)
CONTENT_DIGEST_MISMATCH = Problem(
    400, "Bad Request", "content_digest_mismatch", "The body is not the one that Content-Digest was made of."
)


def too_large(limit: int) -> Problem:
    """A body of more bytes than the route takes."""
    detail = f"The body may have at most {limit:,} bytes." if limit else "This call takes no body."
    return Problem(413, "Content Too Large", "body_too_large", detail)


def invalid(errors: Sequence[tuple[str, str]]) -> Problem:
    """A body that breaks rules: (member, rule) each."""
    member, rule = errors[0]
    return Problem(400, "Bad Request", "invalid_request", f"The request is not valid: {member} {rule}.", errors=tuple(errors))
