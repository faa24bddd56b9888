"""The tables of an AnnData file, as heartmap_service.pipelines will read them.

https://anndata.readthedocs.io/en/stable/fileformat-prose.html, and the ways in which anndata wrote them before: categories by
reference (0.7), tables as compound datasets (before 0.7).
"""

from typing import Any

import numpy as np

from heartmap_service.hdf5_storage import blocks
from heartmap_service.hdf5_structure import Tree, attribute, referred, text_attribute
from heartmap_service.refusals import refusal

ENCODINGS = frozenset(
    {
        ("", ""),
        ("anndata", "0.1.0"),
        ("raw", "0.1.0"),
        ("dict", "0.1.0"),
        ("dataframe", "0.1.0"),
        ("dataframe", "0.2.0"),
        ("array", "0.2.0"),
        ("string-array", "0.2.0"),
        ("rec-array", "0.2.0"),
        ("csr_matrix", "0.1.0"),
        ("csc_matrix", "0.1.0"),
        ("categorical", "0.2.0"),
        ("nullable-integer", "0.1.0"),
        ("nullable-boolean", "0.1.0"),
        ("nullable-string-array", "0.1.0"),
        ("awkward-array", "0.1.0"),
        ("numeric-scalar", "0.2.0"),
        ("string", "0.2.0"),
        ("bytes", "0.2.0"),
        ("null", "0.1.0"),
    }
)
"""All that anndata 0.12 reads: types and versions."""

_NULLABLE = {"nullable-integer": "iu", "nullable-boolean": "b", "nullable-string-array": "OS"}
_MOST_COLUMNS = 10_000


def check_root(tree: Tree) -> bool:
    """Whether the file is of anndata before 0.7. Refuses what is no AnnData object at all."""
    for name in ("obs", "var"):
        if name not in tree.cost:
            raise refusal("not_anndata", name=name)
    if encoding(tree, "") not in (("", ""), ("anndata", "0.1.0")):
        raise refusal("unsupported_encoding", name="The file")
    legacy = "obs" in tree.datasets
    if legacy:
        # anndata then reads everything that the file holds.
        for path in tree.cost:
            encoding(tree, path)
        if "raw" in tree.cost and any(path.startswith("raw.") for path in tree.cost):
            raise refusal("not_anndata", name="raw")
    return legacy


def encoding(tree: Tree, path: str) -> tuple[str, str]:
    """Type and version of what lies at ``path``, empty where it says nothing. Refuses what anndata does not know."""
    node = tree.file[path or "/"]
    found = []
    for name in ("encoding-type", "encoding-version"):
        text = text_attribute(node, name)
        if text is None and name in node.attrs:
            raise refusal("unsupported_encoding", name=path or "The file")
        found.append(text or "")
    pair = (found[0], found[1])
    if pair not in ENCODINGS:
        raise refusal("unsupported_encoding", name=path or "The file")
    return pair


def table_length(tree: Tree, path: str, *, legacy: bool) -> int:
    """Rows of obs or var, once all its columns have as many."""
    if legacy:
        return _compound_length(tree, path)
    if tree.group(path) is None or encoding(tree, path)[0] != "dataframe":
        raise refusal("not_anndata", name=path)
    table = tree.file[path]
    index = text_attribute(table, "_index")
    if index is None:
        raise refusal("bad_index", name=path)
    length = _index_length(tree, path, f"{path}/{index}")
    for name in _columns(tree, path):
        found = _column_length(tree, path, f"{path}/{name}")
        if found != length:
            raise refusal("shape_mismatch", name=f"{path}/{name}", found=f"{found} values long", expected=f"{length} long")
    return length


def _compound_length(tree: Tree, path: str) -> int:
    table = tree.dataset(path)
    if table is None or table.shape is None or table.ndim != 1 or not table.dtype.names:
        raise refusal("not_anndata", name=path)
    kinds = [table.dtype[name] for name in table.dtype.names]
    if kinds[0].kind not in "OS":
        raise refusal("bad_index", name=path)
    for name, kind in zip(table.dtype.names, kinds, strict=True):
        if kind.subdtype is not None or kind.names is not None:
            raise refusal("bad_column", name=f"{path}/{name}")
    return int(table.shape[0])


def _index_length(tree: Tree, path: str, index: str) -> int:
    if tree.group(index) is not None and encoding(tree, index)[0] == "nullable-string-array":
        return _nullable_length(tree, index, "nullable-string-array")
    values = tree.dataset(index)
    if values is None or values.shape is None or values.ndim != 1 or values.dtype.kind not in "OS":
        raise refusal("bad_index", name=path)
    if encoding(tree, index)[0] not in ("", "array", "string-array"):
        raise refusal("unsupported_encoding", name=index)
    return int(values.shape[0])


def _columns(tree: Tree, path: str) -> list[str]:
    """The names that the table lists. Others in its group are not read by anndata."""
    listed: Any = attribute(tree.file[path], "column-order")
    if listed is None or np.ndim(listed) != 1 or len(listed) > _MOST_COLUMNS:
        raise refusal("bad_columns", name=path)
    names = [name.decode("utf-8", "replace") if isinstance(name, bytes) else name for name in np.asarray(listed).tolist()]
    # Joined to the path of the table: "/X" or "." would lead elsewhere.
    if len(set(names)) < len(names) or any(not isinstance(name, str) or f"{path}/{name}" not in tree.cost for name in names):
        raise refusal("bad_columns", name=path)
    return names


def _column_length(tree: Tree, table: str, path: str) -> int:
    kind = encoding(tree, path)[0]
    if path in tree.datasets:
        if "categories" in tree.file[path].attrs and encoding(tree, table) == ("dataframe", "0.1.0"):
            return _referring_length(tree, table, path)
        if kind not in ("", "array", "string-array"):
            raise refusal("bad_column", name=path)
        return _vector_length(tree, path, "OS" if kind == "string-array" else "OSbiufc")
    if kind == "categorical":
        return _categorical_length(tree, path)
    if kind in _NULLABLE:
        return _nullable_length(tree, path, kind)
    raise refusal("bad_column", name=path)


def _vector_length(tree: Tree, path: str, kinds: str) -> int:
    """The length of one dimension of values of one of numpy's kinds."""
    values = tree.dataset(path)
    if values is None or values.shape is None or values.ndim != 1 or values.dtype.kind not in kinds:
        raise refusal("bad_column", name=path)
    return int(values.shape[0])


def _nullable_length(tree: Tree, path: str, kind: str) -> int:
    length = _vector_length(tree, f"{path}/values", _NULLABLE[kind])
    if _vector_length(tree, f"{path}/mask", "b") != length:
        raise refusal("bad_column", name=path)
    return length


def _categorical_length(tree: Tree, path: str) -> int:
    if np.ndim(attribute(tree.file[path], "ordered")) != 0 or attribute(tree.file[path], "ordered") is None:
        raise refusal("bad_column", name=path)
    return _coded_length(tree, path, f"{path}/codes", f"{path}/categories")


def _referring_length(tree: Tree, table: str, path: str) -> int:
    """A column of anndata 0.7: numbers, with a reference to the categories beside them."""
    categories = referred(tree, tree.file[path], "categories")
    if categories is None or not categories.startswith(f"{table}/__categories/"):
        raise refusal("bad_categories", name=path)
    return _coded_length(tree, path, path, categories)


def _coded_length(tree: Tree, path: str, codes: str, categories: str) -> int:
    values = f"{categories}/values" if tree.group(categories) is not None else categories
    if tree.group(categories) is not None:
        kind = encoding(tree, categories)[0]
        if kind not in _NULLABLE:
            raise refusal("bad_column", name=path)
        _nullable_length(tree, categories, kind)
    number = _vector_length(tree, values, "OSbiuf")
    seen: set[Any] = set()
    for block in blocks(tree.file[values]):
        seen.update(block.tolist())
    if len(seen) != number or any(value != value for value in seen):
        raise refusal("bad_categories", name=path)
    length = _vector_length(tree, codes, "iu")
    for block in blocks(tree.file[codes]):
        if block.size and (int(block.min()) < -1 or int(block.max()) >= number):
            raise refusal("bad_categories", name=path)
    return length
