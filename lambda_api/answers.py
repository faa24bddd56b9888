"""Why any of the functions refuses a call, in the words of its answer. None of them holds anything that a caller sent."""

from collections.abc import Sequence

from lambda_authorizer.problems import Problem

UNAUTHENTICATED = Problem(
    401, "Unauthorized", "unauthenticated", "The call did not come through the API's gateway. Call the API's own address."
)
WRONG_ROUTE = Problem(403, "Forbidden", "wrong_route", "The call is not the one that was authorised.")
FORBIDDEN = Problem(403, "Forbidden", "forbidden", "Your role does not allow this. Ask an administrator for the group that does.")
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
    """A body or a query that breaks rules: (member, rule) each."""
    member, rule = errors[0]
    return Problem(400, "Bad Request", "invalid_request", f"The request is not valid: {member} {rule}.", errors=tuple(errors))
