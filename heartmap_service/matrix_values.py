"""The matrix of an AnnData file: its shape, its indices when it is sparse, and every value, in blocks."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from heartmap_service.anndata_layout import encoding
from heartmap_service.hdf5_storage import BLOCK, blocks
from heartmap_service.hdf5_structure import Tree, attribute, text_attribute
from heartmap_service.refusals import refusal


@dataclass(frozen=True, kw_only=True)
class Matrix:
    counts: bool
    """All values are whole numbers."""
    values: int
    """How many are stored: all, or those of a sparse matrix."""
    sparse: bool


def is_matrix(tree: Tree, path: str) -> bool:
    """Whether something is there: anndata writes a missing X as a dataset without a shape, or not at all."""
    return path in tree.cost and (path not in tree.datasets or tree.file[path].shape is not None)


def check_matrix(tree: Tree, path: str, cells: int, genes: int) -> Matrix:
    """Refuses what HeartMAP cannot analyse as ``cells`` by ``genes``."""
    dense = tree.dataset(path)
    kind = "" if dense is not None else _sparse_format(tree, path)
    if dense is not None and encoding(tree, path)[0] not in ("", "array"):
        raise refusal("unsupported_encoding", name=path)
    shape = tuple(dense.shape) if dense is not None else _sparse_shape(tree, path)
    if shape != (cells, genes):
        expected = f"{cells} x {genes}, as obs and var say,"
        raise refusal("shape_mismatch", name=path, found=" x ".join(map(str, shape)), expected=expected)
    values = dense if dense is not None else tree.dataset(f"{path}/data")
    if values is None or values.shape is None or values.dtype.kind not in "biuf":
        raise refusal("not_numeric", name=path)
    if dense is None:
        _check_sparse(tree, path, shape if kind == "csr" else shape[::-1])
    counts = _check_values(values, path)
    return Matrix(counts=counts, values=cells * genes if dense is not None else int(values.shape[0]), sparse=dense is None)


def _sparse_format(tree: Tree, path: str) -> str:
    """``csr`` or ``csc``, as anndata marks it today and before 0.7. It goes by the old mark where there are both."""
    new = encoding(tree, path)[0]
    node = tree.file[path]
    old = text_attribute(node, "h5sparse_format")
    found = {new.removesuffix("_matrix")} if new else set()
    if "h5sparse_format" in node.attrs:
        found.add(old or "")
    if found not in ({"csr"}, {"csc"}):
        raise refusal("unsupported_encoding", name=path)
    return found.pop()


def _sparse_shape(tree: Tree, path: str) -> tuple[int, ...]:
    node = tree.file[path]
    shape = attribute(node, "shape")
    if shape is None:
        shape = attribute(node, "h5sparse_shape")
    shape = np.asarray(shape)
    if shape.shape != (2,) or shape.dtype.kind not in "iu":
        raise refusal("bad_sparse_matrix", name=path)
    return tuple(map(int, shape))


def _check_sparse(tree: Tree, path: str, shape: tuple[int, ...]) -> None:
    bad = refusal("bad_sparse_matrix", name=path)
    data = _vector(tree, f"{path}/data", bad)
    indices, pointers = (_integers(tree, f"{path}/{part}", bad) for part in ("indices", "indptr"))
    major, minor = shape
    if data.shape != indices.shape:
        raise bad
    if pointers.shape[0] != major + 1:
        raise bad
    starts = np.concatenate([_bounded(block, data.shape[0], bad) for block in blocks(pointers)])
    lengths = np.diff(starts)
    if starts[0] != 0 or starts[-1] != data.shape[0] or bool((lengths < 0).any()):
        raise bad
    if major and int(lengths.max()) > minor:
        raise refusal("duplicate_entries", name=path)
    if not _rises(indices, starts, minor, bad) and _repeats(indices, starts, minor):
        raise refusal("duplicate_entries", name=path)


def _vector(tree: Tree, path: str, bad: Exception) -> Any:
    values = tree.dataset(path)
    if values is None or values.shape is None or values.ndim != 1:
        raise bad
    return values


def _integers(tree: Tree, path: str, bad: Exception) -> Any:
    values = _vector(tree, path, bad)
    # scipy has no indices of 64 bits without a sign.
    if not np.can_cast(values.dtype, np.int64):
        raise bad
    return values


def _bounded(block: np.ndarray[Any, Any], most: int, bad: Exception) -> np.ndarray[Any, Any]:
    """The block as int64, which its values fit into when they are from 0 to ``most``."""
    if block.size and (int(block.min()) < 0 or int(block.max()) > most):
        raise bad
    return block.astype(np.int64)


def _rises(indices: Any, starts: np.ndarray[Any, Any], minor: int, bad: Exception) -> bool:
    """Whether the indices rise within each row, as they mostly do: then none is there twice. Refuses those out of bounds."""
    rises = True
    position, last = 0, -1
    for block in blocks(indices):
        here = _bounded(block, minor - 1, bad)
        above = np.empty(here.size, dtype=bool)
        above[0] = here[0] > last
        np.greater(here[1:], here[:-1], out=above[1:])
        first, end = np.searchsorted(starts, (position, position + here.size))
        above[starts[first:end] - position] = True
        rises = rises and bool(above.all())
        position, last = position + here.size, int(here[-1])
    return rises


def _repeats(indices: Any, starts: np.ndarray[Any, Any], minor: int) -> bool:
    """Whether a row holds an index twice, in any order."""
    row, rows = 0, len(starts) - 1
    while row < rows:
        end = max(row + 1, int(np.searchsorted(starts, starts[row] + BLOCK, side="right")) - 1)
        places = np.repeat(np.arange(end - row), np.diff(starts[row : end + 1])) * minor
        places += indices[starts[row] : starts[end]].astype(np.int64)
        places.sort()
        if bool((places[1:] == places[:-1]).any()):
            return True
        row = end
    return False


def _check_values(values: Any, path: str) -> bool:
    whole = True
    for block in blocks(values):
        if block.dtype.kind == "f":
            # As HeartMAP computes: what does not fit in single precision is as infinite as the rest.
            with np.errstate(over="ignore"):
                if not bool(np.isfinite(block.astype(np.float32)).all()):
                    raise refusal("not_finite", name=path)
            whole = whole and bool((block == np.floor(block)).all())
        if block.dtype.kind in "if" and bool((block < 0).any()):
            raise refusal("negative_values", name=path)
    return whole
