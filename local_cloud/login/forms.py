"""What a browser or a program posts to the login."""

import hmac
from urllib.parse import parse_qsl

from starlette.exceptions import HTTPException
from starlette.requests import Request

LARGEST_BODY = 16 * 1024


async def read_form(request: Request) -> dict[str, str]:
    """A form's fields. Raises HTTPException for what is no small form with one value a field."""
    if request.headers.get("content-type", "").split(";")[0].strip().lower() != "application/x-www-form-urlencoded":
        raise HTTPException(415, "A form is expected here.")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST_BODY:
            raise HTTPException(413, "The form is too large.")
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=32)
    except ValueError:
        raise HTTPException(400, "The form is malformed.") from None
    if len(dict(pairs)) != len(pairs):
        raise HTTPException(400, "A field of the form is there twice.")
    return dict(pairs)


def same(expected: str, given: str) -> bool:
    """Compares two secrets in constant time."""
    return hmac.compare_digest(expected.encode(), given.encode())
