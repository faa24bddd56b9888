"""Hostile and broken files. Each starts from what write_h5ad writes and breaks one thing."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
import scanpy
import scipy.sparse

from heartmap_service.scan import Facts, Refused, scan
from heartmap_service.settings import GIB


@pytest.fixture
def broken(small: Path, tmp_path: Path) -> Callable[[Callable[[h5py.File], object]], Path]:
    def make(change: Callable[[Any], object]) -> Path:
        path = tmp_path / "broken.h5ad"
        shutil.copy(small, path)
        with h5py.File(path, "r+") as file:
            change(file)
        return path

    return make


def refusal(path: Path, memory: int = 4 * GIB) -> str:
    with pytest.raises(Refused) as refused:
        scan(path, memory=memory)
    detail = refused.value.detail
    assert detail.endswith(".")
    assert str(path.parent) not in detail
    return refused.value.code


def replace(group: Any, name: str, **arguments: Any) -> None:
    attributes = dict(group[name].attrs) if name in group else {}
    if name in group:
        del group[name]
    group.create_dataset(name, **arguments).attrs.update(attributes)


def external_storage(file: Any) -> None:
    file["uns"].create_dataset("secret", shape=(8,), dtype="u1", external=[("/etc/hostname", 0, 8)])


def external_matrix(file: Any) -> None:
    replace(file["X"], "data", shape=(100,), dtype="f4", external=[("/proc/self/environ", 0, h5py.h5f.UNLIMITED)])


def external_link(file: Any) -> None:
    file["uns/secret"] = h5py.ExternalLink("/etc/passwd", "/")


def external_link_in_the_middle(file: Any) -> None:
    file["uns/a"] = h5py.ExternalLink("other.h5", "/group")
    file["uns/b"] = h5py.SoftLink("/uns/a/deeper")


def soft_link(file: Any) -> None:
    file["uns/again"] = h5py.SoftLink("/X")


def soft_link_in_place_of_x(file: Any) -> None:
    file.move("X", "hidden")
    file["X"] = h5py.SoftLink("/hidden")


def dangling_soft_link(file: Any) -> None:
    file["layers/nothing"] = h5py.SoftLink("/nowhere")


def virtual_dataset(file: Any) -> None:
    layout = h5py.VirtualLayout(shape=(4,), dtype="f4")
    layout[:] = h5py.VirtualSource("/etc/other.h5", "x", shape=(4,))
    file["uns"].create_virtual_dataset("virtual", layout)


def terabytes_declared(file: Any) -> None:
    file["uns"].create_dataset("bomb", shape=(1 << 20, 1 << 20), dtype="f8", chunks=(1024, 1024), compression="gzip")


def one_huge_chunk(file: Any) -> None:
    file["uns"].create_dataset("bomb", shape=(1,), maxshape=(None,), dtype="u1", chunks=((1 << 32) - 1,), compression="gzip")


def many_strings(file: Any) -> None:
    file["uns"].create_dataset("bomb", shape=(1 << 27,), dtype=h5py.string_dtype(), chunks=(1 << 16,))


def sparse_shape_bomb(file: Any) -> None:
    file["X"].attrs["shape"] = np.array([1 << 40, 1 << 40])


def huge_attribute(file: Any) -> None:
    file["uns"].attrs.create("bomb", np.zeros(7000), dtype="f8")
    for number in range(200):
        file["uns"].attrs.create(f"bomb{number}", np.zeros(7000), dtype="f8")


def deep_groups(file: Any) -> None:
    file["uns"].create_group("/".join("g" * 64))


def many_objects(file: Any) -> None:
    for number in range(20_001):
        file["uns"].create_group(str(number))


def references(file: Any) -> None:
    replace(file["uns"], "reference", data=np.array([file["X"].ref], dtype=h5py.ref_dtype), dtype=h5py.ref_dtype)


def variable_sequences(file: Any) -> None:
    file["uns"].create_dataset("ragged", shape=(3,), dtype=h5py.vlen_dtype(np.int32))


def named_type(file: Any) -> None:
    file["uns/type"] = np.dtype("f8")


def plugin_filter(file: Any) -> None:
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_chunk((10,))
    properties.set_filter(32015, h5py.h5z.FLAG_OPTIONAL, ())
    h5py.h5d.create(file["uns"].id, b"zstd", h5py.h5t.py_create(np.dtype("i4")), h5py.h5s.create_simple((10,)), dcpl=properties)


def no_obs(file: Any) -> None:
    del file["obs"]


def no_index(file: Any) -> None:
    del file["obs"].attrs["_index"]


def index_elsewhere(file: Any) -> None:
    file["obs"].attrs["_index"] = "../var/_index"


def no_matrix(file: Any) -> None:
    del file["X"]


def x_is_a_plain_group(file: Any) -> None:
    del file["X"].attrs["encoding-type"]


def shape_of_another_size(file: Any) -> None:
    file["X"].attrs["shape"] = np.array([200, 499])


def column_too_short(file: Any) -> None:
    file["obs"].create_dataset("short", data=np.zeros(3))


def codes_out_of_range(file: Any) -> None:
    file["obs/kind/codes"][0] = 99


def codes_below_minus_one(file: Any) -> None:
    file["obs/kind/codes"][0] = -2


def index_beyond_the_columns(file: Any) -> None:
    file["X/indices"][7] = 500


def negative_index(file: Any) -> None:
    file["X/indices"][7] = -1


def pointers_that_go_back(file: Any) -> None:
    file["X/indptr"][5] = file["X/indptr"][200]


def pointers_beyond_the_data(file: Any) -> None:
    file["X/indptr"][200] = file["X/indptr"][200] + 1000


def pointers_that_begin_late(file: Any) -> None:
    file["X/indptr"][0] = 1


def too_few_pointers(file: Any) -> None:
    replace(file["X"], "indptr", data=file["X/indptr"][:-1])


def data_shorter_than_indices(file: Any) -> None:
    replace(file["X"], "data", data=file["X/data"][:-1])


def indices_that_are_no_integers(file: Any) -> None:
    replace(file["X"], "indices", data=file["X/indices"][:].astype("f8"))


def not_a_number(file: Any) -> None:
    file["X/data"][3] = np.nan


def infinite(file: Any) -> None:
    file["X/data"][3] = -np.inf


def beyond_single_precision(file: Any) -> None:
    replace(file["X"], "data", data=np.full(file["X/data"].shape, 1e300))


def negative(file: Any) -> None:
    file["X/data"][3] = -1


def text_for_numbers(file: Any) -> None:
    replace(file["X"], "data", data=np.array([b"a"] * len(file["X/indices"])))


HOSTILE = {
    external_storage: "external_storage",
    external_matrix: "external_storage",
    external_link: "external_link",
    external_link_in_the_middle: "external_link",
    soft_link: "soft_link",
    soft_link_in_place_of_x: "soft_link",
    dangling_soft_link: "soft_link",
    virtual_dataset: "virtual_dataset",
    terabytes_declared: "too_large",
    one_huge_chunk: "too_large",
    many_strings: "too_large",
    sparse_shape_bomb: "shape_mismatch",
    huge_attribute: "attributes_too_large",
    deep_groups: "too_deep",
    many_objects: "too_many_objects",
    references: "unsupported_type",
    variable_sequences: "unsupported_type",
    named_type: "unsupported_type",
    plugin_filter: "unsupported_filter",
    no_obs: "not_anndata",
    no_index: "not_anndata",
    index_elsewhere: "not_anndata",
    no_matrix: "no_matrix",
    x_is_a_plain_group: "no_matrix",
    shape_of_another_size: "shape_mismatch",
    column_too_short: "shape_mismatch",
    codes_out_of_range: "bad_categories",
    codes_below_minus_one: "bad_categories",
    index_beyond_the_columns: "bad_sparse_matrix",
    negative_index: "bad_sparse_matrix",
    pointers_that_go_back: "bad_sparse_matrix",
    pointers_beyond_the_data: "bad_sparse_matrix",
    pointers_that_begin_late: "bad_sparse_matrix",
    too_few_pointers: "bad_sparse_matrix",
    data_shorter_than_indices: "bad_sparse_matrix",
    indices_that_are_no_integers: "bad_sparse_matrix",
    not_a_number: "not_finite",
    infinite: "not_finite",
    beyond_single_precision: "not_finite",
    negative: "negative_values",
    text_for_numbers: "not_numeric",
}


@pytest.mark.parametrize(("change", "code"), HOSTILE.items(), ids=lambda value: getattr(value, "__name__", value))
def test_a_hostile_or_broken_file_is_refused_with_its_own_code(broken: Any, change: Any, code: str) -> None:
    assert refusal(broken(change)) == code


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "empty_file"),
        (b"gene,cell1\nTTN,3\n" * 100, "not_hdf5"),
        (b"PK\x03\x04" + bytes(1000), "not_hdf5"),
        (bytes(511) + b"\x89HDF\r\n\x1a\n", "not_hdf5"),
        (b"\x89HDF\r\n\x1a\n", "unreadable"),
        (b"\x89HDF\r\n\x1a\n" + bytes(4096), "unreadable"),
        (bytes(512) + b"\x89HDF\r\n\x1a\n" + bytes(4096), "unreadable"),
    ],
    ids=["empty", "csv", "zip", "signature at the wrong place", "signature alone", "zeros", "user block"],
)
def test_what_is_no_hdf5_file_is_refused(tmp_path: Path, body: bytes, code: str) -> None:
    path = tmp_path / "file.h5ad"
    path.write_bytes(body)
    assert refusal(path) == code


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9, 0.999])
def test_a_file_that_was_cut_short_is_refused(small: Path, tmp_path: Path, kept: float) -> None:
    path = tmp_path / "cut.h5ad"
    path.write_bytes(small.read_bytes()[: int(small.stat().st_size * kept)])
    assert refusal(path) == "unreadable"


def test_hdf5_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.h5"
    with h5py.File(path, "w") as file:
        file["matrix/data"] = np.arange(10)
    assert refusal(path) == "not_anndata"


@pytest.mark.parametrize(
    ("cells", "genes", "code"), [(40, 500, "too_few_cells"), (200, 40, "too_few_genes"), (0, 500, "too_few_cells")]
)
def test_too_few_cells_or_genes_for_the_principal_components_are_refused(
    tmp_path: Path, make_data: Any, cells: int, genes: int, code: str
) -> None:
    path = tmp_path / "few.h5ad"
    make_data(200, 500)[:cells, :genes].copy().write_h5ad(path)
    assert refusal(path) == code


def test_a_group_that_holds_itself_is_walked_once(broken: Any) -> None:
    def cycle(file: Any) -> None:
        file["uns/loop"] = file["uns"]
        file["uns/root"] = file["/"]

    assert scan(broken(cycle), memory=4 * GIB).cells == 200


def test_what_does_not_fit_into_memory_is_refused_with_the_figure(tmp_path: Path) -> None:
    path = tmp_path / "large.h5ad"
    with h5py.File(path, "w") as file:
        file.create_dataset("X", shape=(100_000, 30_000), dtype="f4", chunks=(100, 1000), compression="gzip")
    with pytest.raises(Refused) as refused:
        scan(path, memory=4 * GIB)
    assert refused.value.code == "too_large"
    assert "11.2 GiB" in refused.value.detail


def facts_of(data: anndata.AnnData, path: Path) -> Facts:
    data.write_h5ad(path)
    return scan(path, memory=4 * GIB)


@pytest.mark.parametrize("kind", ["csr", "csc", "dense", "integers", "gzip"])
def test_every_matrix_that_anndata_writes_is_accepted(tmp_path: Path, make_data: Any, kind: str) -> None:
    data = make_data()
    counts = data.X.toarray()
    data.X = {
        "csr": lambda: data.X,
        "csc": lambda: scipy.sparse.csc_matrix(counts),
        "dense": lambda: counts,
        "integers": lambda: scipy.sparse.csr_matrix(counts.astype(np.int64)),
        "gzip": lambda: data.X,
    }[kind]()
    path = tmp_path / "fine.h5ad"
    data.write_h5ad(path, compression="gzip" if kind == "gzip" else None)
    facts = scan(path, memory=4 * GIB)
    assert facts == Facts(cells=200, genes=500, matrix="X", var="var", counts=True, legacy=False)


def test_a_full_object_with_every_kind_of_column_is_accepted(tmp_path: Path, make_data: Any) -> None:
    data = make_data()
    data.obs["text"] = pd.array(["a"] * 200, dtype="string")
    data.obs["integers"] = pd.array([1, None] * 100, dtype="Int64")
    data.obs["flags"] = pd.array([True, None] * 100, dtype="boolean")
    data.obs["category"] = pd.Categorical([None, "x"] * 100)
    data.obsm["X_umap"] = np.zeros((200, 2))
    data.obsm["table"] = pd.DataFrame({"a": np.arange(200)}, index=data.obs_names)
    data.layers["counts"] = data.X.copy()
    data.uns["nested"] = {"deeper": {"array": np.arange(3), "text": "x"}}
    data.raw = data
    assert facts_of(data, tmp_path / "full.h5ad").matrix == "X"


def test_normalised_values_are_accepted_and_known_as_no_counts(tmp_path: Path, make_data: Any) -> None:
    data = make_data()
    scanpy.pp.log1p(data)
    assert facts_of(data, tmp_path / "log.h5ad").counts is False


def test_raw_stands_in_for_a_missing_or_scaled_matrix(tmp_path: Path, make_data: Any) -> None:
    data = make_data()
    data.raw = data
    data.X = data.X.toarray() - 1
    facts = facts_of(data, tmp_path / "scaled.h5ad")
    assert (facts.matrix, facts.var, facts.counts) == ("raw/X", "raw/var", True)
    del data.X
    assert facts_of(data, tmp_path / "missing.h5ad").matrix == "raw/X"


def test_a_file_of_anndata_before_0_7_is_accepted() -> None:
    shipped = Path(scanpy.__file__).parent / "datasets" / "10x_pbmc68k_reduced.h5ad"
    facts = scan(shipped, memory=4 * GIB)
    assert facts == Facts(cells=700, genes=765, matrix="raw.X", var="raw.var", counts=False, legacy=True)
