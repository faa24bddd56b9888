"""Why a decision went as it did: stable codes for the audit line, and the exceptions that carry them.

================================  ================================================================================
Allow
allowed                           the credential is valid and the access policy opens the route to the caller
Deny (403)
no_such_route                     the access policy has no such method and route
not_permitted                     none of the caller's groups or scopes opens the route
sign_in_too_old                   the route wants a sign-in that is not as long ago, and is open to the caller otherwise
key_source                        the key is good, and may not be used from this address
path_malformed                    the path has a spelling that no route has: a slash at its end, an escape, an empty segment
id_malformed                      the route is open, but an id in the path is not a ULID
Unauthorized (401)
event_malformed                   a field that API Gateway always sends is missing or has another form
event_mismatch                    fields of the event contradict each other, this Lambda's region, or the route's form
headers_mismatch                  ``headers`` and ``multiValueHeaders`` contradict each other
no_credential                     no Authorization header
several_credentials               more than one credential, or one Authorization header too many
unknown_scheme                    neither ``Bearer`` nor ``ApiKey``, or nothing after it
token_too_long                    more than 4,096 characters
token_malformed                   not three canonical base64url parts with JSON objects in the first two
token_header                      a header parameter other than alg, kid, typ, or one of these of the wrong type
token_algorithm                   any algorithm but RS256
token_unknown_key                 the user pool has no such key
token_signature                   the signature is not of that key
token_claims                      a claim is missing or has the wrong type or range
token_issuer                      not an issuer of ours
token_use                         not an access token
token_client                      not a client of ours, or meant for another audience
token_expired                     past ``exp`` and the tolerance
token_not_yet_valid               before ``nbf`` or ``iat`` and the tolerance
token_lifetime                    issued for longer than 24 hours, or never valid: it begins when it has ended
token_locked_out                  issued before its holder was locked out
key_malformed                     not of the form ``hm_<environment>_<public id>_<secret>``
key_environment                   a key of another environment
keys_disabled                     this environment has no table of keys
key_unknown                       no such public id
key_secret                        the secret is wrong
key_revoked                       revoked
key_expired                       past its end
signature_missing                 the key's calls have to be signed, and this one is not
signature_unexpected              signed, with a credential for which there is no key to verify it with
signature_malformed               not of the one form of ``signature``, or one of its headers is missing or there twice
signature_key                     signed in the name of another key
signature_invalid                 not made by the key's holder over this request
signature_time                    made more than a minute ago, or hence
signature_replayed                its nonce was used before
Error (500)
misconfigured                     an environment variable or a file is missing or malformed
key_set_stale                     the user pool's keys could not be refreshed for 24 hours
key_store_unavailable             the table of API keys did not answer in time, or with an error
key_record_malformed              an API key's record has a form that nothing of ours writes
key_use_unavailable               the table of used nonces is not configured, did not answer in time, or answered with an error
lock_outs_unavailable             the list of who is locked out could not be read for five minutes
secrets_unavailable               the secret could not be read in time
secrets_malformed                 the secret has another form than it must have
internal                          a defect of the authorizer
================================  ================================================================================
"""

# ruff: noqa: S105  # codes, not passwords

from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lambda_authorizer.policy import Caller


class Reason(StrEnum):
    """The code in the audit line's ``reason``. The module's table says what each means."""

    ALLOWED = "allowed"
    NO_SUCH_ROUTE = "no_such_route"
    NOT_PERMITTED = "not_permitted"
    SIGN_IN_TOO_OLD = "sign_in_too_old"
    KEY_SOURCE = "key_source"
    PATH_MALFORMED = "path_malformed"
    ID_MALFORMED = "id_malformed"
    EVENT_MALFORMED = "event_malformed"
    EVENT_MISMATCH = "event_mismatch"
    HEADERS_MISMATCH = "headers_mismatch"
    NO_CREDENTIAL = "no_credential"
    SEVERAL_CREDENTIALS = "several_credentials"
    UNKNOWN_SCHEME = "unknown_scheme"
    TOKEN_TOO_LONG = "token_too_long"
    TOKEN_MALFORMED = "token_malformed"
    TOKEN_HEADER = "token_header"
    TOKEN_ALGORITHM = "token_algorithm"
    TOKEN_UNKNOWN_KEY = "token_unknown_key"
    TOKEN_SIGNATURE = "token_signature"
    TOKEN_CLAIMS = "token_claims"
    TOKEN_ISSUER = "token_issuer"
    TOKEN_USE = "token_use"
    TOKEN_CLIENT = "token_client"
    TOKEN_EXPIRED = "token_expired"
    TOKEN_NOT_YET_VALID = "token_not_yet_valid"
    TOKEN_LIFETIME = "token_lifetime"
    TOKEN_LOCKED_OUT = "token_locked_out"
    KEY_MALFORMED = "key_malformed"
    KEY_ENVIRONMENT = "key_environment"
    KEYS_DISABLED = "keys_disabled"
    KEY_UNKNOWN = "key_unknown"
    KEY_SECRET = "key_secret"
    KEY_REVOKED = "key_revoked"
    KEY_EXPIRED = "key_expired"
    SIGNATURE_MISSING = "signature_missing"
    SIGNATURE_UNEXPECTED = "signature_unexpected"
    SIGNATURE_MALFORMED = "signature_malformed"
    SIGNATURE_KEY = "signature_key"
    SIGNATURE_INVALID = "signature_invalid"
    SIGNATURE_TIME = "signature_time"
    SIGNATURE_REPLAYED = "signature_replayed"
    MISCONFIGURED = "misconfigured"
    KEY_SET_STALE = "key_set_stale"
    KEY_STORE_UNAVAILABLE = "key_store_unavailable"
    KEY_RECORD_MALFORMED = "key_record_malformed"
    KEY_USE_UNAVAILABLE = "key_use_unavailable"
    LOCK_OUTS_UNAVAILABLE = "lock_outs_unavailable"
    SECRETS_UNAVAILABLE = "secrets_unavailable"
    SECRETS_MALFORMED = "secrets_malformed"
    INTERNAL = "internal"


class Refused(Exception):
    """The caller is not authenticated: 401. ``caller`` is who holds a credential that alone does not do."""

    def __init__(self, reason: Reason, caller: "Caller | None" = None) -> None:
        super().__init__(reason.value)
        self.reason = reason
        self.caller = caller


class Fault(Exception):
    """The authorizer cannot decide, through no fault of the caller: 500."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(f"The authorizer cannot decide: {reason.value}")
        self.reason = reason


class ConfigurationError(Exception):
    """The authorizer refuses to start. The text names the environment variable and what it must hold, never its value."""
