"""What an uploaded file must be before HeartMAP sees it. Runs in the sandbox; opens the file with h5py and follows nothing out
of it.

First the structure, without reading a value: HDF5 makes no difference between data in the file and data in any other file that
the process can read (external storage, external links, virtual datasets), and a few bytes can declare terabytes. Then AnnData's
layout: https://anndata.readthedocs.io/en/stable/fileformat-prose.html. Then the values of the matrix, in blocks.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from heartmap_service.catalogue import MIN_CELLS, MIN_GENES
from heartmap_service.hdf5_signature import is_hdf5
from heartmap_service.settings import GIB, MIB

BASE_MEMORY = 900 * MIB
"""Address space of a job before it has read anything: the interpreter, HeartMAP and its libraries."""
COPIES = 4
"""HeartMAP holds at least so many copies of the matrix at once: raw, filtered, normalised, and the one being made."""
VARIABLE_LENGTH_COST = 80
"""Bytes that a string takes in memory at the least; on file it declares 16."""
MAX_OBJECTS = 20_000
MAX_DEPTH = 32
MAX_ATTRIBUTE_BYTES = 1 * MIB
BLOCK = 1024 * 1024
"""Values that are looked at in one go."""

# gzip, shuffle, fletcher32, szip, nbit, scale-offset, lzf: what h5py itself can read. Others are code loaded from elsewhere.
_FILTERS = frozenset({1, 2, 3, 4, 5, 6, 32000})
# h5py declares whatever is looked up as any of its seven kinds.
Node = Any
_MATRICES = (("X", "var"), ("raw/X", "raw/var"), ("raw.X", "raw.var"))


class Refused(Exception):  # a verdict on the file
    """The data set cannot be analysed. ``detail`` tells its owner what to change."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(code)
        self.code = code
        self.detail = detail


@dataclass(frozen=True, kw_only=True)
class Facts:
    """``matrix`` is the path in the file of the matrix to analyse; ``counts`` says that all its values are whole numbers."""

    cells: int
    genes: int
    matrix: str
    var: str
    counts: bool
    legacy: bool
    """Written by anndata before 0.7, with obs and var as compound datasets."""


def scan(path: Path, *, memory: int) -> Facts:
    """Refuses what is no AnnData file of counts that fits into ``memory`` bytes; else what it holds."""
    with path.open("rb") as stream:
        if stream.seek(0, 2) == 0:
            raise Refused("empty_file", "The file is empty. Upload it again.")
        if not is_hdf5(stream):
            raise Refused("not_hdf5", "The file is not HDF5. Save the AnnData object with write_h5ad and upload that file.")
    try:
        with h5py.File(path, "r", locking=False) as file:
            _check_structure(file, memory)
            return _check_anndata(file)
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError, RecursionError) as error:
        # HDF5's own refusals: truncated, damaged, or of a kind that it does not know. MemoryError is the caller's.
        detail = "The file is damaged, cut short or not written by AnnData. Write it with write_h5ad and check that it opens."
        raise Refused("unreadable", detail) from error


# Structure


def _check_structure(file: Node, memory: int) -> None:
    matrices = 0
    rest = 0
    for name, node in _nodes(file):
        size = _attribute_bytes(node)
        if isinstance(node, h5py.Dataset):
            _check_dataset(node)
            size += _declared_bytes(node)
        if name.startswith(("X", "raw/X", "raw.X")):
            matrices += size
        else:
            rest += size
        needed = BASE_MEMORY + COPIES * matrices + rest
        if needed > memory:
            detail = (
                f"The file declares {(matrices + rest) / GIB:.1f} GiB of data; with {memory / GIB:.1f} GiB of memory for one "
                "analysis that cannot fit. Upload fewer cells or genes, store the matrix sparse, or drop layers and embeddings."
            )
            raise Refused("too_large", detail)


def _nodes(file: Node) -> Iterator[tuple[str, Node]]:
    """Every group and dataset once, reached by hard links only. Refuses every other link before it is followed."""
    seen = {_address(file)}
    stack: list[tuple[str, Node, int]] = [("", file["/"], 0)]
    yield "", file["/"]
    while stack:
        path, group, depth = stack.pop()
        if len(group) + len(seen) > MAX_OBJECTS:
            raise Refused(
                "too_many_objects", f"The file holds more than {MAX_OBJECTS:,} objects. Drop what is not X, obs, var or raw."
            )
        for key in group:
            _check_link(group, key)
            node = group[key]
            name = f"{path}/{key}" if path else key
            address = _address(node)
            if address in seen:
                continue
            seen.add(address)
            if isinstance(node, h5py.Group):
                if depth + 1 > MAX_DEPTH:
                    raise Refused("too_deep", f"Groups are nested more than {MAX_DEPTH} deep. Drop them from uns.")
                stack.append((name, node, depth + 1))
            elif not isinstance(node, h5py.Dataset):
                raise Refused(
                    "unsupported_type",
                    "The file holds a named data type, which AnnData does not write. Write it with write_h5ad.",
                )
            yield name, node


def _address(node: Node) -> int:
    return h5py.h5o.get_info(node.id).addr  # pyright: ignore[reportAttributeAccessIssue]  # h5py's stubs lack h5o


def _check_link(group: Node, key: str) -> None:
    try:
        link = group.get(key, getlink=True)
    except TypeError:
        link = None
    if isinstance(link, h5py.ExternalLink):
        raise Refused("external_link", "The file links to another file. Write the data itself, with write_h5ad.")
    if not isinstance(link, h5py.HardLink):
        raise Refused(
            "soft_link", "The file holds symbolic links, which AnnData does not write. Write the data itself, with write_h5ad."
        )


def _check_dataset(dataset: Node) -> None:
    properties = dataset.id.get_create_plist()
    if properties.get_external_count() > 0:
        raise Refused("external_storage", "The file keeps data in another file. Write the data itself, with write_h5ad.")
    if properties.get_layout() == h5py.h5d.VIRTUAL:
        raise Refused("virtual_dataset", "The file assembles data from other files. Write the data itself, with write_h5ad.")
    filters = {properties.get_filter(index)[0] for index in range(properties.get_nfilters())}
    if not filters <= _FILTERS:
        raise Refused(
            "unsupported_filter", "The file is compressed in a way that needs a plug-in. Write it with compression='gzip'."
        )
    if not _is_plain(dataset.dtype):
        raise Refused(
            "unsupported_type", "The file holds values that are not numbers or text. Drop them and write it with write_h5ad."
        )


def _is_plain(dtype: np.dtype[Any]) -> bool:
    """Numbers, booleans and text, alone or as the fields of a record. No references, no sequences of variable length."""
    if dtype.names is not None:
        return all(_is_plain(dtype[name]) for name in dtype.names)
    if dtype.subdtype is not None:
        return _is_plain(dtype.subdtype[0])
    return h5py.check_string_dtype(dtype) is not None or dtype.kind in "biufcS"


def _declared_bytes(dataset: Node) -> int:
    text = h5py.check_string_dtype(dataset.dtype)
    each = VARIABLE_LENGTH_COST if text is not None and text.length is None else dataset.dtype.itemsize
    # A chunk is decompressed whole, however little of it the dataset needs.
    chunk = int(np.prod(dataset.chunks, dtype=object)) if dataset.chunks else 0
    return max(int(dataset.size or 0), chunk) * each


def _attribute_bytes(node: Node) -> int:
    total = 0
    count = h5py.h5a.get_num_attrs(node.id)
    for index in range(count):
        attribute = h5py.h5a.open(node.id, index=index)
        total += attribute.get_space().get_select_npoints() * attribute.get_type().get_size()
        if total > MAX_ATTRIBUTE_BYTES:
            raise Refused(
                "attributes_too_large",
                "The attributes of an object take more than 1 MiB. Drop them and write it with write_h5ad.",
            )
    return total


# AnnData


def _check_anndata(file: Node) -> Facts:
    for name in ("obs", "var"):
        if name not in file:
            raise Refused(
                "not_anndata", f"The file is HDF5 but has no {name}: it is not an AnnData object. Write it with write_h5ad."
            )
    legacy = isinstance(file["obs"], h5py.Dataset)
    cells = _table_length(file["obs"], "obs")
    present = [(matrix, var) for matrix, var in _MATRICES if matrix in file and _is_matrix(file[matrix])]
    if not present:
        raise Refused("no_matrix", "The file has neither X nor raw. Put the counts in X and write it with write_h5ad.")
    refusal: Refused | None = None
    for matrix, var in present:
        if var not in file:
            raise Refused(
                "not_anndata", f"The file has {matrix} without {var}: it is not an AnnData object. Write it with write_h5ad."
            )
        genes = _table_length(file[var], var)
        try:
            counts = _check_matrix(file[matrix], matrix, cells, genes)
        except Refused as refused:
            # Scaled values in X are common, with what they were made from in raw.
            if refused.code != "negative_values":
                raise
            refusal = refusal or refused
            continue
        _check_size(cells, genes)
        return Facts(cells=cells, genes=genes, matrix=matrix, var=var, counts=counts, legacy=legacy)
    raise refusal or Refused("no_matrix", "The file has no usable matrix.")


def _check_size(cells: int, genes: int) -> None:
    if cells < MIN_CELLS:
        raise Refused("too_few_cells", f"The data set has {cells} cells; HeartMAP needs at least {MIN_CELLS}. Add cells.")
    if genes < MIN_GENES:
        raise Refused("too_few_genes", f"The data set has {genes} genes; HeartMAP needs at least {MIN_GENES}. Add genes.")


def _table_length(table: Any, name: str) -> int:
    """Rows of obs or var, once all its columns have as many."""
    if isinstance(table, h5py.Dataset):
        if table.ndim != 1 or table.dtype.names is None:
            raise Refused("not_anndata", f"{name} is not a table. Write the AnnData object with write_h5ad.")
        return int(table.shape[0])
    index = _text(table.attrs.get("_index"))
    length = _column_length(table[index], name) if index is not None and index in table else -1
    if length < 0:
        raise Refused("not_anndata", f"{name} has no index: it is not an AnnData object. Write it with write_h5ad.")
    for key in table:
        if key != "__categories" and _column_length(table[key], f"{name}[{key[:40]!r}]") != length:
            raise Refused(
                "shape_mismatch", f"A column of {name} has not as many values as its index. Write the object with write_h5ad."
            )
    return length


def _column_length(column: Any, name: str) -> int:
    if isinstance(column, h5py.Dataset):
        return int(column.shape[0]) if column.ndim == 1 else -1
    if "codes" in column and "categories" in column:
        codes = column["codes"]
        _check_codes(codes, _column_length(column["categories"], name), name)
        return int(codes.shape[0]) if codes.ndim == 1 else -1
    if "values" in column and "mask" in column:
        values, mask = column["values"], column["mask"]
        return int(values.shape[0]) if values.ndim == 1 and values.shape == mask.shape else -1
    raise Refused("unsupported_type", f"{name} is a kind of column that AnnData does not write. Drop it.")


def _check_codes(codes: Node, categories: int, name: str) -> None:
    if codes.dtype.kind not in "iu" or codes.ndim != 1:
        raise Refused("bad_categories", f"{name} has categories that are not numbered. Write the object with write_h5ad.")
    for block in _blocks(codes):
        if block.size and (int(block.min()) < -1 or int(block.max()) >= categories):
            raise Refused("bad_categories", f"{name} uses categories that it does not define. Write the object with write_h5ad.")


# The matrix


def _is_matrix(node: Any) -> bool:
    # anndata writes a missing X as a dataset without a shape.
    return node.shape is not None if isinstance(node, h5py.Dataset) else _sparse_format(node) is not None


def _sparse_format(node: Any) -> str | None:
    """``csr`` or ``csc``, as anndata marks it today and before 0.7."""
    encoding = _text(node.attrs.get("encoding-type")) or ""
    if encoding in ("csr_matrix", "csc_matrix"):
        return encoding[:3]
    old = _text(node.attrs.get("h5sparse_format"))
    return old if old in ("csr", "csc") else None


def _check_matrix(node: Any, name: str, cells: int, genes: int) -> bool:
    """Whether all values are whole numbers. Refuses what HeartMAP cannot analyse."""
    if isinstance(node, h5py.Dataset):
        shape, values = tuple(node.shape), node
    else:
        raw_shape = node.attrs.get("shape", node.attrs.get("h5sparse_shape"))
        shape = tuple(int(length) for length in np.asarray(raw_shape).ravel()) if raw_shape is not None else ()
        values = node.get("data")
    if shape != (cells, genes):
        found = " x ".join(map(str, shape))
        detail = f"{name} is {found}, but obs and var are {cells} cells by {genes} genes. Write the object with write_h5ad."
        raise Refused("shape_mismatch", detail)
    if not isinstance(values, h5py.Dataset) or values.dtype.kind not in "biuf":
        raise Refused("not_numeric", f"{name} does not hold numbers. Put the counts in X.")
    if not isinstance(node, h5py.Dataset):
        _check_sparse(node, name, shape)
    return _check_values(values, name)


def _check_sparse(node: Node, name: str, shape: tuple[int, ...]) -> None:
    bad = Refused(
        "bad_sparse_matrix",
        f"The sparse matrix {name} is inconsistent: its indices do not fit its shape. Write it again with write_h5ad.",
    )
    parts = [node.get(part) for part in ("data", "indices", "indptr")]
    if not all(isinstance(part, h5py.Dataset) and part.ndim == 1 for part in parts):
        raise bad
    data, indices, pointers = parts
    major, minor = shape if _sparse_format(node) == "csr" else shape[::-1]
    if (
        indices.dtype.kind not in "iu"
        or pointers.dtype.kind not in "iu"
        or pointers.shape[0] != major + 1
        or data.shape != indices.shape
    ):
        raise bad
    last = 0
    for number, block in enumerate(_blocks(pointers)):
        signed = block.astype(np.int64)
        if (number == 0 and signed[0] != 0) or signed[0] < last or bool((np.diff(signed) < 0).any()):
            raise bad
        last = int(signed[-1])
    if last != data.shape[0]:
        raise bad
    for block in _blocks(indices):
        if block.size and (int(block.min()) < 0 or int(block.max()) >= minor):
            raise bad


def _check_values(values: Node, name: str) -> bool:
    whole = True
    for block in _blocks(values):
        if block.dtype.kind == "f":
            # As HeartMAP computes: what does not fit in single precision is as infinite as the rest.
            with np.errstate(over="ignore"):
                if not bool(np.isfinite(block.astype(np.float32)).all()):
                    raise Refused(
                        "not_finite", f"{name} holds values that are missing, infinite or too large. Replace them, usually by 0."
                    )
            whole = whole and bool((block == np.floor(block)).all())
        if block.dtype.kind in "if" and block.size and bool((block < 0).any()):
            raise Refused("negative_values", f"{name} holds negative values, so no counts. Put the counts in X, or in raw.")
    return whole


def _blocks(dataset: Node) -> Iterator[np.ndarray[Any, Any]]:
    """The dataset in order, in pieces of about BLOCK values along the first axis."""
    width = max(1, int(np.prod(dataset.shape[1:], dtype=object)))
    rows = max(1, BLOCK // width)
    if dataset.chunks:
        # Whole chunks, or each would be decompressed many times.
        rows = max(dataset.chunks[0], rows // dataset.chunks[0] * dataset.chunks[0])
    for start in range(0, dataset.shape[0], rows):
        yield dataset[start : start + rows]


def _text(value: Any) -> str | None:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value if isinstance(value, str) else None
