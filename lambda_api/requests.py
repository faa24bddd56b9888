"""The body and the query of a call, out of an event of a Lambda proxy integration.

https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html
"""

import binascii
from typing import Any

from lambda_api import answers
from lambda_authorizer.problems import Refused
from lambda_authorizer.signature import DIGEST_HEADER, content_digest


def body(event: dict[str, Any], *, limit: int) -> bytes:
    """The body, of at most ``limit`` bytes and as its sender said it is. Raises Refused."""
    data = _decoded(event.get("body"), encoded=event.get("isBase64Encoded") is True)
    if len(data) > limit:
        raise Refused(answers.too_large(limit))
    _check_digest(event, data)
    return data


def query(event: dict[str, Any]) -> dict[str, str]:
    """The parameters of the query, of which each may occur once. Raises Refused."""
    given = event.get("multiValueQueryStringParameters")
    read: dict[str, str] = {}
    for name, values in (given if isinstance(given, dict) else {}).items():
        if not isinstance(values, list) or len(values) != 1 or not isinstance(values[0], str):
            raise Refused(answers.invalid([("query", "must have each member once")]))
        read[name] = values[0]
    return read


def _decoded(text: object, *, encoded: bool) -> bytes:
    if text is None:
        return b""
    try:
        if isinstance(text, str):
            return binascii.a2b_base64(text, strict_mode=True) if encoded else text.encode("utf-8")
    except ValueError:
        pass
    raise Refused(answers.invalid([("body", "must be text in UTF-8")]))


def _check_digest(event: dict[str, Any], data: bytes) -> None:
    """A signature covers the header, whatever the body is: what the authorizer verified is worth nothing without this."""
    headers = event.get("multiValueHeaders")
    given = [
        value
        for name, values in (headers if isinstance(headers, dict) else {}).items()
        if name.lower() == DIGEST_HEADER.lower()
        for value in values
    ]
    if len(given) > 1:
        raise Refused(answers.CONTENT_DIGEST_INVALID)
    if given and given[0] != content_digest(data):
        raise Refused(answers.CONTENT_DIGEST_MISMATCH)
