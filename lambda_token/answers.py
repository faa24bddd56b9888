"""What the function answers beside the problems that every function has: the credential, and why there is none."""

from typing import Any

from lambda_authorizer.problems import Problem, document
from lambda_token.credential import LIFETIME, Credential
from lambda_token.roles import Grant

NOT_A_ROLE = Problem(
    403, "Forbidden", "not_a_role", "Only a session of an IAM role gets a credential here: assume a role and sign with it."
)
UNKNOWN_ROLE = Problem(
    403, "Forbidden", "unknown_role", "This IAM role has no groups here: ask an administrator to add it to heartmap:iam_roles."
)


def granted(credential: Credential, grant: Grant, request_id: str | None) -> dict[str, Any]:
    """The answer with the credential, in the manner of an OAuth 2.0 token response (RFC 6749, section 5.1)."""
    content = {
        "access_token": credential.key,
        "token_type": "ApiKey",
        "expires_in": LIFETIME,
        "groups": sorted(grant.groups),
    }
    return document(200, content, request_id)
