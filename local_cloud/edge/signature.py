"""Who signed a request: Signature Version 4 in the Authorization header, as methods with the authorization AWS_IAM demand it.

https://docs.aws.amazon.com/IAM/latest/UserGuide/create-signed-request.html. A signature in the query (a presigned URL) is not
taken: API Gateway takes it, and nothing of this project makes one. Whose the signature is, the emulated AWS says.
"""

import hashlib
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, quote

import httpx

from local_cloud.edge.exchange import Exchange
from local_cloud.edge.gateway_responses import Refused

SERVICE = "execute-api"
# AWS refuses a signature that is older or newer: "Signature expired".
SKEW_SECONDS = 300
ASKING_SECONDS = 10

_HEADER = re.compile(
    r"AWS4-HMAC-SHA256 +Credential=(?P<key>\w{8,128})/(?P<date>\d{8})/(?P<region>[a-z0-9-]+)/(?P<service>[a-z0-9-]+)/"
    r"aws4_request, *SignedHeaders=(?P<headers>[a-z0-9-]+(;[a-z0-9-]+)*), *Signature=(?P<signature>[0-9a-f]{64})",
    re.ASCII,
)
_MOMENT = re.compile(r"\d{8}T\d{6}Z", re.ASCII)


class Question(NamedTuple):
    """What is asked of the emulated AWS. ``scope`` is date, region, service and ``aws4_request``."""

    access_key_id: str
    session_token: str | None
    scope: str
    string_to_sign: str
    signature: str


class Signer(NamedTuple):
    """Who signed. ``policies`` are the documents of what the principal may; each of ``limits`` has to allow it as well."""

    arn: str
    user_id: str
    account: str
    policies: list[str]
    limits: list[str]


Ask = Callable[[Question], Awaitable[Signer | None]]
"""Gives the signer, None when the signature is nobody's."""


def asking(endpoint: str, path: str) -> Ask:
    """Asks the emulated AWS at this address. What it raises is httpx's, or ValueError for an answer that is none."""

    async def ask(question: Question) -> Signer | None:
        async with httpx.AsyncClient(trust_env=False, timeout=ASKING_SECONDS) as client:
            answer = await client.post(endpoint.rstrip("/") + path, json=question._asdict())
        if answer.status_code == httpx.codes.FORBIDDEN:
            return None
        answer.raise_for_status()
        try:
            said: Any = answer.json()
            return Signer(**said)
        except TypeError:
            raise ValueError("the emulated AWS did not say whose signature it is") from None

    return ask


def read(exchange: Exchange, body: bytes, *, region: str, now: datetime | None = None) -> Question:
    """What the request's signature claims. Raises Refused for a request without one, and for one of another form."""
    given = exchange.header_values("authorization")
    if not given:
        raise Refused("MISSING_AUTHENTICATION_TOKEN")
    match = _HEADER.fullmatch(given[0]) if len(given) == 1 else None
    if match is None:
        raise Refused("INVALID_SIGNATURE", "The Authorization header is no Signature Version 4")
    moment = _single(exchange, "x-amz-date")
    if moment is None or not _MOMENT.fullmatch(moment) or moment[:8] != match["date"]:
        raise Refused("INVALID_SIGNATURE", "X-Amz-Date is missing, or of another day than the credential")
    if (match["region"], match["service"]) != (region, SERVICE):
        raise Refused("INVALID_SIGNATURE", "The credential is scoped to another region or service")
    if abs(((now or datetime.now(UTC)) - _moment(moment)).total_seconds()) > SKEW_SECONDS:
        raise Refused("INVALID_SIGNATURE", "Signature expired")
    names = match["headers"].split(";")
    _check_signed(exchange, names)
    scope = f"{match['date']}/{region}/{SERVICE}/aws4_request"
    canonical = hashlib.sha256(_canonical(exchange, names, body).encode("utf-8")).hexdigest()
    return Question(
        access_key_id=match["key"],
        session_token=_single(exchange, "x-amz-security-token"),
        scope=scope,
        string_to_sign=f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{canonical}",
        signature=match["signature"],
    )


def _moment(text: str) -> datetime:
    try:
        return datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        raise Refused("INVALID_SIGNATURE", "X-Amz-Date is no date") from None


def _check_signed(exchange: Exchange, names: list[str]) -> None:
    """The host and all of AWS's own headers have to be signed, and each once: an unsigned one could be anybody's."""
    sent = [name.lower() for name, _ in exchange.headers]
    needed = {"host", *(name for name in sent if name.startswith("x-amz-"))}
    if not needed <= set(names) or names != sorted(set(names)) or any(sent.count(name) != 1 for name in names):
        raise Refused("INVALID_SIGNATURE", "The signed headers are not the ones that have to be signed")


def _single(exchange: Exchange, name: str) -> str | None:
    values = exchange.header_values(name)
    if len(values) > 1:
        raise Refused("INVALID_SIGNATURE", f"{name} is there more than once")
    return values[0] if values else None


def _canonical(exchange: Exchange, names: list[str], body: bytes) -> str:
    headers = "".join(f"{name}:{' '.join(exchange.header_values(name)[0].split())}\n" for name in names)
    query = sorted(
        (quote(name, safe="-_.~"), quote(value, safe="-_.~")) for name, value in parse_qsl(exchange.query, keep_blank_values=True)
    )
    return "\n".join(
        [
            exchange.method,
            # Of every service but S3 the path is encoded once more.
            quote(exchange.path, safe="/-_.~"),
            "&".join(f"{name}={value}" for name, value in query),
            headers,
            ";".join(names),
            # Of the body as it came, whatever X-Amz-Content-Sha256 says.
            hashlib.sha256(body).hexdigest(),
        ]
    )
