"""Bodies of requests, bounded in size and in time."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import Request

from operator_cli.console.problems import Problem

JSON_SECONDS = 15
BLOCK_SECONDS = 60
SMALL = 64 * 1024

Model = TypeVar("Model", bound=BaseModel)


def announced(request: Request) -> int:
    """How many bytes the body has. One whose length is not said is not taken."""
    if "transfer-encoding" in request.headers:
        raise Problem(411, "length_required", "Send the body with its length.")
    # h11 has checked that it is a number, and one.
    return int(request.headers.get("content-length", "0"))


async def read_json(request: Request, limit: int = SMALL) -> Any:
    """The JSON body, None where there is no body. Raises Problem."""
    length = announced(request)
    if length > limit:
        raise Problem(413, "body_too_large", "The body is larger than this takes.")
    if not length:
        return None
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise Problem(415, "bad_request", "The body must be application/json.")
    try:
        async with asyncio.timeout(JSON_SECONDS):
            content = await request.body()
    except TimeoutError:
        raise Problem(408, "body_too_slow", "The body came too slowly.") from None
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        raise Problem(400, "bad_request", "The body is not JSON.") from None


async def read_model(request: Request, kind: type[Model]) -> Model:
    """The JSON body as that model. Raises Problem."""
    try:
        return kind.model_validate(await read_json(request))
    except ValidationError as error:
        field = ".".join(map(str, error.errors()[0]["loc"])) or "the body"
        raise Problem(422, "invalid_request", f"{field} is missing or not of the right kind.") from None


async def blocks(request: Request, length: int) -> AsyncIterator[bytes]:
    """The body as it comes, exactly so many bytes. Raises Problem when it does not come."""
    received = 0
    stream = request.stream()
    while True:
        try:
            async with asyncio.timeout(BLOCK_SECONDS):
                block = await anext(stream, b"")
        except TimeoutError:
            raise Problem(408, "body_too_slow", "The body came too slowly.") from None
        if not block:
            break
        received += len(block)
        yield block
    if received != length:
        raise Problem(400, "bad_request", "The body is not as long as was announced.")
