"""A program of its own that reads an annotated data set (.h5ad) and writes what the page draws; `python -m`, run by results.py.

HDF5 is a large format read by a large library, and the file came over the network: it is read apart from the server, which holds
the session, within bounds of memory and time, and without following links out of the file.
https://anndata.readthedocs.io/en/stable/fileformat-prose.html
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np

CELLS, GENES, STARTS, ROWS, VALUES = "cells", "genes.json", "starts", "rows", "values"
NO_EMBEDDING = 3
"""Exit code."""

MEMORY = 3 * 1024**3
CPU_SECONDS = 15 * 60
MOST_CELLS = 5_000_000
MOST_GENES = 100_000
MOST_VALUES = 500_000_000
"""Expression values that are not zero: 4 GB on disk. Beyond, cells are drawn but not coloured by genes."""
MOST_CATEGORIES = 1000
MOST_COLUMNS = 32
LONGEST_NAME = 200
NO_CATEGORY = 65535
AT_ONCE = 4_000_000
"""Values that are sorted at once: about 150 MB."""
ALIGNED = 8
SHOWN_AS: Final = {"leiden": "cluster"}
"""The page's names for columns."""


class Unreadable(Exception):
    """The file is not the data set that it should be."""


def write_cells(file: h5py.File, out: Path) -> None:
    """The embedding and the categories, as docs/console.md describes them: a JSON header, then columns."""
    points = _embedding(file)
    count = points.shape[0]
    columns: list[tuple[dict[str, Any], bytes]] = [
        ({"name": f"umap_{axis + 1}", "type": "float32"}, points[:, axis].astype("<f4").tobytes()) for axis in (0, 1)
    ]
    for name, codes, categories in _categories(_group(file, "obs"), count):
        columns.append(({"name": name, "type": "category", "codes": "uint16", "categories": categories}, codes.tobytes()))
    offset = 0
    for description, data in columns:
        description["offset"] = offset
        offset += len(data) + -len(data) % ALIGNED
    header = {"cells": count, "columns": [description for description, _ in columns], "genes": _genes(file)}
    text = json.dumps(header, allow_nan=False).encode()
    text += b" " * (-(4 + len(text)) % ALIGNED)
    with out.open("wb") as stream:
        stream.write(len(text).to_bytes(4, "little") + text)
        for _, data in columns:
            stream.write(data + b"\0" * (-len(data) % ALIGNED))


def write_expression(file: h5py.File, directory: Path) -> None:
    """The matrix gene by gene: where each gene's values start, then the cells and the values. Sorted a slice at a time."""
    matrix, genes, count = _member(file, "X"), _genes(file), _embedding(file).shape[0]
    width = len(genes)
    counts, total = np.zeros(width, np.int64), 0
    for _, columns, _ in _slices(matrix, count, width):
        counts += np.bincount(columns, minlength=width)
        total += len(columns)
    if total > MOST_VALUES:
        raise Unreadable("X")
    starts = np.concatenate(([0], np.cumsum(counts)))
    starts.astype("<i8").tofile(directory / STARTS)
    rows, values = (_mapped(directory / name, kind, total) for name, kind in ((ROWS, "<u4"), (VALUES, "<f4")))
    filled = starts[:-1].copy()
    # A stable sort of small numbers is a radix sort.
    narrow = np.uint16 if width <= 2**16 else np.uint32
    for cells, columns, data in _slices(matrix, count, width):
        order = np.argsort(columns.astype(narrow), kind="stable")
        ordered = columns[order]
        here = np.bincount(ordered, minlength=width)
        first = np.concatenate(([0], np.cumsum(here)))[:-1]
        place = filled[ordered] + np.arange(len(ordered)) - first[ordered]
        rows[place] = cells[order]
        values[place] = data[order]
        filled += here
    (directory / GENES).write_text(json.dumps(genes), encoding="utf-8")


Slice = tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], np.ndarray[Any, Any]]


def _slices(matrix: Any, count: int, width: int) -> Iterator[Slice]:
    """The values that are not zero, some at a time: of which cell, of which gene, how much."""
    if isinstance(matrix, h5py.Group):
        yield from _sparse_slices(matrix, count, width)
        return
    dense = _dataset(matrix)
    if dense.shape != (count, width):
        raise Unreadable("X")
    step = max(1, AT_ONCE // max(width, 1))
    for start in range(0, dense.shape[0], step):
        block = np.asarray(dense[start : start + step], np.float32)
        cells, genes = np.nonzero(block)
        yield cells + start, genes, block[cells, genes]


def _sparse_slices(matrix: h5py.Group, count: int, width: int) -> Iterator[Slice]:
    """https://docs.scipy.org/doc/scipy/reference/generated/scipy.sparse.csr_matrix.html"""
    by_gene = str(matrix.attrs.get("encoding-type")) == "csc_matrix"
    if not by_gene and str(matrix.attrs.get("encoding-type")) != "csr_matrix":
        raise Unreadable("X")
    starts = np.asarray(_dataset(_member(matrix, "indptr"))[:], np.int64)
    indices, data = _dataset(_member(matrix, "indices")), _dataset(_member(matrix, "data"))
    if len(starts) == 0 or starts[0] != 0 or (np.diff(starts) < 0).any() or not starts[-1] == len(indices) == len(data):
        raise Unreadable("X")
    for start in range(0, len(data), AT_ONCE):
        end = min(start + AT_ONCE, len(data))
        minor = indices[start:end]
        first, last = np.searchsorted(starts, start, "right") - 1, np.searchsorted(starts, end, "left")
        major = np.repeat(np.arange(first, last, dtype=np.uint32), np.diff(np.clip(starts[first : last + 1], start, end)))
        cells, genes = (minor, major) if by_gene else (major, minor)
        if genes.min() < 0 or genes.max() >= width or cells.min() < 0 or cells.max() >= count:
            raise Unreadable("X")
        yield cells, genes, np.asarray(data[start:end], np.float32)


def _mapped(path: Path, kind: str, length: int) -> Any:
    # A file of no length cannot be mapped.
    if length == 0:
        path.touch()
        return np.zeros(0, kind)
    return np.memmap(path, dtype=kind, mode="w+", shape=(length,))


def _categories(obs: h5py.Group, count: int) -> Iterator[tuple[str, np.ndarray[Any, Any], list[str]]]:
    """The columns of few different values, clusters first; a cell without a value has the code NO_CATEGORY."""
    names = [str(name) for name in obs.attrs.get("column-order", []) if isinstance(name, str)]
    seen: set[str] = set()
    for name in sorted(names, key=lambda name: name not in SHOWN_AS):
        column, shown = _member(obs, name), SHOWN_AS.get(name, name)[:LONGEST_NAME]
        if not isinstance(column, h5py.Group) or shown in seen or len(seen) == MOST_COLUMNS:
            continue
        codes, categories = _dataset(_member(column, "codes")), _dataset(_member(column, "categories"))
        if codes.shape != (count,) or categories.ndim != 1 or len(categories) > MOST_CATEGORIES:
            continue
        numbers = np.asarray(codes[:], np.int64)
        numbers[(numbers < 0) | (numbers >= len(categories))] = NO_CATEGORY
        seen.add(shown)
        yield shown, numbers.astype("<u2"), _texts(categories)


def _embedding(file: h5py.File) -> h5py.Dataset:
    """Where the cells are drawn."""
    umap = _member(_group(file, "obsm"), "X_umap")
    if umap is None:
        raise SystemExit(NO_EMBEDDING)
    points = _dataset(umap)
    if points.ndim != 2 or points.shape[1] < 2 or points.shape[0] > MOST_CELLS:
        raise Unreadable("X_umap")
    return points


def _genes(file: h5py.File) -> list[str]:
    """The genes' names; none where the matrix is missing or too large to colour by."""
    matrix, var = _member(file, "X"), _group(file, "var")
    if matrix is None:
        return []
    values = len(_dataset(_member(matrix, "data"))) if isinstance(matrix, h5py.Group) else _dataset(matrix).size
    index = _dataset(_member(var, str(var.attrs.get("_index", "_index"))))
    if values is None or values > MOST_VALUES or len(index) > MOST_GENES:
        return []
    return _texts(index)


def _texts(dataset: h5py.Dataset) -> list[str]:
    is_text = h5py.check_string_dtype(dataset.dtype) is not None
    found = dataset.asstr(errors="replace")[:] if is_text else dataset[:]
    return [str(each)[:LONGEST_NAME] for each in found]


def _member(group: h5py.Group, name: str) -> Any:
    """What stands in the group itself: not what a link leads to, in this file or another one."""
    if name not in group or not isinstance(group.get(name, getlink=True), h5py.HardLink):
        return None
    return group[name]


def _group(file: h5py.Group, name: str) -> h5py.Group:
    found = _member(file, name)
    if not isinstance(found, h5py.Group):
        raise Unreadable(name)
    return found


def _dataset(found: Any) -> h5py.Dataset:
    """A data set whose bytes are in this file."""
    if not isinstance(found, h5py.Dataset) or found.external or found.is_virtual:
        raise Unreadable("data")
    return found


def _bound() -> None:
    """Bounds of this process, where the system knows them."""
    try:
        import resource
    except ImportError:
        return
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def main() -> None:
    task, source, out = sys.argv[1:]
    _bound()
    with h5py.File(source, "r", locking=False) as file:
        {"cells": write_cells, "expression": write_expression}[task](file, Path(out))


if __name__ == "__main__":
    main()
