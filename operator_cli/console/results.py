"""What an analysis found, for the page to draw: embedding, expression, tables, pictures."""

import asyncio
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response

from operator_cli.answers import ULID_PATTERN, ResultFile, Results
from operator_cli.console import annotated, tables
from operator_cli.console.cache import CONTENT, Cache
from operator_cli.console.problems import Problem
from operator_cli.console.upstream import Upstream

ANNOTATED = "annotated.h5ad"
REMEMBERED_SECONDS = 60
MOST_REMEMBERED = 50
PICTURES: Final = {".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg"}
"""Kinds of file that a browser may draw and that carry no script: SVG does."""
SANDBOX = "default-src 'none'; sandbox"
MOST_GENES_KNOWN = 4


class Listings:
    """The files of analyses, as the API lists them to whoever is signed in."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._known: dict[tuple[str, str], tuple[float, Results]] = {}

    async def file(self, analysis_id: str, name: str) -> ResultFile:
        """One file. Raises Problem: signed out, not this person's to see, no such file."""
        if not re.fullmatch(ULID_PATTERN, analysis_id):
            raise Problem(404, "no_such_analysis", "There is none, or it is not shared with you.")
        key = (await self._upstream.subject(), analysis_id)
        found = self._known.get(key)
        if found is None or found[0] < time.monotonic():
            results = await self._upstream.call("GET", f"/analyses/{analysis_id}/results", Results)
            found = (time.monotonic() + REMEMBERED_SECONDS, results)
            self._known.pop(key, None)
            self._known[key] = found
            while len(self._known) > MOST_REMEMBERED:
                del self._known[next(iter(self._known))]
        for file in found[1].files:
            if file.name == name:
                return file
        raise Problem(404, "no_such_result", "The analysis has no result of that name.")

    def clear(self) -> None:
        self._known.clear()


class ResultCalls:
    def __init__(self, listings: Listings, cache: Cache) -> None:
        self._listings = listings
        self._cache = cache
        self._background: set[asyncio.Task[Any]] = set()
        self._genes: dict[Path, dict[str, int]] = {}

    async def cells(self, request: Request) -> Response:
        """The embedding and what the cells can be coloured by, as binary columns."""
        file = await self._annotated(request)
        home = await self._made(file, "cells", annotated.CELLS)
        # Most people colour by a gene next.
        task = asyncio.create_task(self._prepare(file))
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return FileResponse(home / annotated.CELLS, media_type="application/octet-stream")

    async def expression(self, request: Request) -> Response:
        """What one gene's expression is in each cell: little-endian float32."""
        file = await self._annotated(request)
        await self._made(file, "cells", annotated.CELLS)
        home = await self._made(file, "expression", annotated.GENES)
        values = await asyncio.to_thread(self._column, home, request.query_params.get("gene", ""))
        if values is None:
            raise Problem(404, "no_such_gene", "The analysis has no gene of that name.")
        return Response(values, media_type="application/octet-stream")

    async def table(self, request: Request) -> Response:
        """A table, its columns typed."""
        name = f"{request.path_params['name']}.csv"
        path = await self._content(await self._listings.file(request.path_params["analysis_id"], name))
        try:
            return JSONResponse(await asyncio.to_thread(tables.read, path))
        except ValueError:
            raise Problem(422, "unreadable_result", "The table cannot be read. Download it.") from None

    async def file(self, request: Request) -> Response:
        """A file as it is: a picture to draw, anything else to keep."""
        file = await self._listings.file(request.path_params["analysis_id"], request.path_params["name"])
        path = await self._content(file)
        kind = PICTURES.get(os.path.splitext(file.name)[1].lower())
        headers = {"Content-Security-Policy": SANDBOX}
        if kind is not None:
            return FileResponse(path, media_type=kind, headers=headers)
        return FileResponse(path, media_type="application/octet-stream", filename=file.name, headers=headers)

    async def close(self) -> None:
        """End what is being prepared."""
        for task in list(self._background):
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)

    def clear(self) -> None:
        """Nothing stays of a session that has ended."""
        self._listings.clear()
        self._genes.clear()
        self._cache.clear()

    async def _annotated(self, request: Request) -> ResultFile:
        try:
            return await self._listings.file(request.path_params["analysis_id"], ANNOTATED)
        except Problem as problem:
            if problem.code == "no_such_result":
                raise _no_embedding() from None
            raise

    async def _content(self, file: ResultFile) -> Path:
        async with self._cache.lock(file):
            return await self._cache.directory(file) / CONTENT

    async def _prepare(self, file: ResultFile) -> None:
        with contextlib.suppress(Problem):
            await self._made(file, "expression", annotated.GENES)

    async def _made(self, file: ResultFile, task: str, last: str) -> Path:
        """The directory of the result once the task has been done on it; ``last`` is what the task writes last."""
        async with self._cache.lock(file):
            home = await self._cache.directory(file)
            if not (home / last).exists():
                out = home / annotated.CELLS if task == "cells" else home
                await _read_apart(task, home / CONTENT, out)
                self._cache.measure(file)
        return home

    def _column(self, home: Path, gene: str) -> bytes | None:
        import numpy as np

        genes = self._genes.get(home)
        if genes is None:
            names = json.loads((home / annotated.GENES).read_text("utf-8"))
            genes = {name: index for index, name in reversed(list(enumerate(names)))}
            while len(self._genes) >= MOST_GENES_KNOWN:
                del self._genes[next(iter(self._genes))]
            self._genes[home] = genes
        index = genes.get(gene)
        if index is None:
            return None
        start, end = np.fromfile(home / annotated.STARTS, "<i8", count=2, offset=8 * index).tolist()
        rows = np.fromfile(home / annotated.ROWS, "<u4", count=end - start, offset=4 * start)
        values = np.fromfile(home / annotated.VALUES, "<f4", count=end - start, offset=4 * start)
        with (home / annotated.CELLS).open("rb") as stream:
            count = json.loads(stream.read(int.from_bytes(stream.read(4), "little")))["cells"]
        column = np.zeros(count, "<f4")
        # The same cell twice adds up, as in scipy.
        np.add.at(column, rows, values)
        return column.tobytes()


def _no_embedding() -> Problem:
    return Problem(404, "no_embedding", "The analysis has no embedding to draw.")


async def _read_apart(task: str, source: Path, out: Path) -> None:
    """Have an annotated data set read in a process of its own. Raises Problem when it cannot be."""
    # Not where a module of the same name could lie; one thread, whose stack counts against its memory.
    environment = {"PATH": os.defpath, "OPENBLAS_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", annotated.__name__, task, str(source), str(out)),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment,
        # Ctrl-C is for the console, which ends it.
        start_new_session=True,
    )
    try:
        code = await process.wait()
    except asyncio.CancelledError:
        process.send_signal(signal.SIGKILL)
        await process.wait()
        raise
    if code == annotated.NO_EMBEDDING:
        raise _no_embedding()
    if code:
        raise Problem(422, "unreadable_result", "The annotated data set cannot be read here. Download it.")
