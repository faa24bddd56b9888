"""The API's routes of an upload and a bucket that takes its parts, for sizes that an emulated S3 would have to hold in memory.

    python benchmarks/upload_stand_in.py --state DIRECTORY --file FILE [--latency SECONDS] [--rate BYTES]

Each part is compared with the file by its length and SHA-256, and thrown away. `--latency` passes before a part is answered, as
on the way to a region and back; `--rate` is what one connection carries in a second, as long ways and S3 itself bound it.
The directory then describes it as a local environment. `GET /seen` tells what came.
"""

import argparse
import asyncio
import hashlib
import json
import os
import socket
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from local_cloud import tls

UPLOAD_ID = "01J8ZQ4Y7M3W5X9K2B6C1D0EFG"
PART_BYTES = 16 * 1024 * 1024
"""As the service's own (heartmap_service/uploads.py)."""


class StandIn:
    def __init__(self, file: Path, bucket: str, latency: float, rate: float | None) -> None:
        self._file, self._bucket, self._latency, self._rate = file, bucket, latency, rate
        self._size = file.stat().st_size
        self._under_way = 0
        self.seen: dict[str, Any] = {"keys": [], "parts": [], "bytes": 0, "wrong": [], "at_once": 0, "complete": False}

    def length(self, number: int) -> int:
        return min(PART_BYTES, self._size - (number - 1) * PART_BYTES)

    async def begin(self, request: Request) -> Response:
        key = request.headers["idempotency-key"]
        if key not in self.seen["keys"]:
            self.seen["keys"].append(key)
        parts = -(-self._size // PART_BYTES)
        return JSONResponse({"upload_id": UPLOAD_ID, "part_bytes": PART_BYTES, "parts": parts}, 201)

    async def addresses(self, request: Request) -> Response:
        numbers = (await request.json())["numbers"]
        return JSONResponse({"parts": [{"number": n, "url": f"{self._bucket}/{n}?X-Amz-Signature=s"} for n in numbers]})

    async def put(self, request: Request) -> Response:
        number, received, digest = int(request.path_params["number"]), 0, hashlib.sha256()
        self._under_way += 1
        self.seen["at_once"] = max(self.seen["at_once"], self._under_way)
        try:
            begun = asyncio.get_running_loop().time()
            async for block in request.stream():
                received += len(block)
                self.seen["bytes"] += len(block)
                digest.update(block)
                if self._rate is not None:
                    await asyncio.sleep(begun + received / self._rate - asyncio.get_running_loop().time())
        finally:
            self._under_way -= 1
        await asyncio.sleep(self._latency)
        if received != self.length(number) or digest.digest() != await asyncio.to_thread(self._digest, number):
            self.seen["wrong"].append(number)
            return Response("<Error><Code>BadDigest</Code></Error>", 400)
        self.seen["parts"].append(number)
        return Response(headers={"ETag": f'"{digest.hexdigest()}"'})

    def _digest(self, number: int) -> bytes:
        digest, left = hashlib.sha256(), self.length(number)
        with self._file.open("rb") as stream:
            stream.seek((number - 1) * PART_BYTES)
            while left:
                block = stream.read(min(1 << 20, left))
                digest.update(block)
                left -= len(block)
        return digest.digest()

    async def complete(self, request: Request) -> Response:
        named = [part["number"] for part in (await request.json())["parts"]]
        whole = named == list(range(1, -(-self._size // PART_BYTES) + 1)) and set(named) <= set(self.seen["parts"])
        self.seen["complete"] = whole
        return JSONResponse({}, 200 if whole else 409)

    async def tell(self, _: Request) -> Response:
        return JSONResponse(self.seen)


def _environment(state: Path, api: str) -> None:
    description = {
        "api": api,
        "issuer": "https://issuer.example",
        "client_id": "client",
        "authorize_url": f"{api}/authorize",
        "token_url": f"{api}/token",
        "ca_bundle": str(state / "tls" / "ca.pem"),
    }
    partial = state / "environment.part"
    partial.write_text(json.dumps(description))
    partial.replace(state / "environment.json")


def _listener() -> tuple[socket.socket, int]:
    listener = socket.create_server(("127.0.0.1", 0))
    return listener, listener.getsockname()[1]


async def serve(state: Path, file: Path, latency: float, rate: float | None) -> None:
    """Both servers, until the process is ended."""
    files = tls.ensure(state / "tls")
    (api, api_port), (bucket, bucket_port) = _listener(), _listener()
    stand_in = StandIn(file, f"http://127.0.0.1:{bucket_port}", latency, rate)
    routes = [
        Route("/uploads", stand_in.begin, methods=["POST"]),
        Route(f"/uploads/{UPLOAD_ID}/parts", stand_in.addresses, methods=["POST"]),
        Route(f"/uploads/{UPLOAD_ID}/complete", stand_in.complete, methods=["POST"]),
        Route("/{number:int}", stand_in.put, methods=["PUT"]),
        Route("/seen", stand_in.tell, methods=["GET"]),
    ]
    app = Starlette(routes=routes)
    quiet: dict[str, Any] = {"log_level": "error", "lifespan": "off"}
    over_tls = uvicorn.Config(app, ssl_certfile=files.certificate, ssl_keyfile=files.key, **quiet)
    _environment(state, f"https://localhost:{api_port}")
    (state / "bucket").write_text(f"http://127.0.0.1:{bucket_port}")
    await asyncio.gather(
        uvicorn.Server(over_tls).serve(sockets=[api]), uvicorn.Server(uvicorn.Config(app, **quiet)).serve(sockets=[bucket])
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--file", type=Path, required=True)
    parser.add_argument("--latency", type=float, default=0)
    parser.add_argument("--rate", type=float)
    given = parser.parse_args()
    os.umask(0o077)
    asyncio.run(serve(given.state, given.file, given.latency, given.rate))


if __name__ == "__main__":
    main()
