"""The user pool's public keys (JWKS, RFC 7517), fetched at deploy so that the authorizer starts without asking anyone."""

import json
import re

import httpx
import tenacity

POOL_ID = re.compile(r"[a-z]{2}(-[a-z]+)+-\d_[0-9A-Za-z]+")

NO_KEYS = b'{"keys": []}'

SIZE_LIMIT = 64 * 1024
TIMEOUT_SECONDS = 10.0
ATTEMPTS = 5


class KeySetError(Exception):
    """The key set cannot be had, or is none. The text says what to do."""


def fetch(pool_id: str, *, region: str, endpoint: str) -> bytes:
    """The key set of a user pool as JSON text.

    ``endpoint`` is the emulated AWS, or empty for Cognito itself. An id that is not of the shape of a pool id belongs to a plan
    without AWS and has no keys; an authorizer with no keys refuses to start. Raises KeySetError.
    """
    if not POOL_ID.fullmatch(pool_id):
        return NO_KEYS
    base = endpoint.rstrip("/") or f"https://cognito-idp.{region}.amazonaws.com"
    try:
        body = _get(f"{base}/{pool_id}/.well-known/jwks.json")
    except httpx.HTTPError:
        raise KeySetError(
            f"the key set of user pool {pool_id} cannot be fetched from {base}: check the network and run the deployment again"
        ) from None
    try:
        keys = json.loads(body)["keys"]
    except (ValueError, KeyError, TypeError):
        keys = None
    if not isinstance(keys, list) or not keys:
        raise KeySetError(f"what {base} answers for user pool {pool_id} is no key set: check the region and what answers there")
    return body


@tenacity.retry(
    retry=tenacity.retry_if_exception_type(httpx.HTTPError),
    stop=tenacity.stop_after_attempt(ATTEMPTS),
    wait=tenacity.wait_exponential_jitter(multiplier=0.2, max=3),
    reraise=True,
)
def _get(url: str) -> bytes:
    body = bytearray()
    with httpx.stream("GET", url, timeout=TIMEOUT_SECONDS, follow_redirects=False) as response:
        response.raise_for_status()
        for chunk in response.iter_bytes():
            body += chunk
            if len(body) > SIZE_LIMIT:
                raise KeySetError(f"the key set is larger than {SIZE_LIMIT} bytes: check what answers at the user pool's address")
    return bytes(body)
