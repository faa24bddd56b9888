"""What must pass, in every form in which anndata writes it, and what a scan tells of it. Hostile files: test_hostile.py."""

import random
import shutil
import warnings
from pathlib import Path
from typing import Any, cast

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
import scanpy
import scipy.sparse

from heartmap_service.refusals import SENTENCES
from heartmap_service.scan import Facts, Refused, scan
from heartmap_service.settings import GIB, MIB


def refusal(path: Path, memory: int = 4 * GIB) -> str:
    with pytest.raises(Refused) as refused:
        scan(path, memory=memory)
    return refused.value.code


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9, 0.999])
def test_a_file_that_was_cut_short_is_refused(small: Path, tmp_path: Path, kept: float) -> None:
    path = tmp_path / "cut.h5ad"
    path.write_bytes(small.read_bytes()[: int(small.stat().st_size * kept)])
    assert refusal(path) == "unreadable"


def test_bytes_changed_at_random_are_refused_or_read(small: Path, tmp_path: Path) -> None:
    """Nothing but Refused comes out. Longer: python -m tests.heartmap_service.fuzz_scan."""
    chance = random.Random(1)  # noqa: S311  # no secret
    body = small.read_bytes()
    path = tmp_path / "changed.h5ad"
    codes = set()
    for _ in range(50):
        changed = bytearray(body)
        for _ in range(20):
            changed[chance.randrange(4096)] = chance.randrange(256)
        path.write_bytes(changed)
        try:
            scan(path, memory=4 * GIB)
        except Refused as refused:
            codes.add(refused.code)
    assert "unreadable" in codes
    assert codes <= SENTENCES.keys()


@pytest.mark.parametrize(
    ("cells", "genes", "code"), [(40, 500, "too_few_cells"), (200, 40, "too_few_genes"), (0, 500, "too_few_cells")]
)
def test_too_few_cells_or_genes_for_the_principal_components_are_refused(
    tmp_path: Path, make_data: Any, cells: int, genes: int, code: str
) -> None:
    path = tmp_path / "few.h5ad"
    make_data(200, 500)[:cells, :genes].copy().write_h5ad(path)
    assert refusal(path) == code


def test_what_does_not_fit_into_memory_is_refused_with_the_figure(tmp_path: Path) -> None:
    path = tmp_path / "large.h5ad"
    with h5py.File(path, "w") as file:
        file.create_dataset("X", shape=(100_000, 30_000), dtype="f4", chunks=(100, 1000), compression="gzip")
    with pytest.raises(Refused) as refused:
        scan(path, memory=4 * GIB)
    assert refused.value.code == "too_large"
    assert "11.2 GiB" in refused.value.detail


def facts_of(data: anndata.AnnData, path: Path, **options: Any) -> Facts:
    data.write_h5ad(path, **options)
    return scan(path, memory=4 * GIB)


def readable(path: Path, facts: Facts) -> Any:
    """The matrix, as heartmap_service.pipelines reads it."""
    with h5py.File(path) as file:
        matrix = anndata.io.read_elem(cast("h5py.Group", file[facts.matrix]))
        anndata.io.read_elem(cast("h5py.Group", file["obs"]))
        anndata.io.read_elem(cast("h5py.Group", file[facts.var]))
    return scipy.sparse.csr_matrix(matrix, dtype=np.float32)


@pytest.mark.parametrize("compression", [None, "gzip", "lzf"])
@pytest.mark.parametrize("kind", ["csr", "csc", "dense", "int64", "uint8", "float16", "float64", "bool", ">f4"])
def test_every_matrix_that_anndata_writes_is_accepted(tmp_path: Path, make_data: Any, kind: str, compression: Any) -> None:
    data = make_data()
    counts = data.X.toarray()
    sparse = kind in ("csr", "csc")
    if kind == "csc":
        data.X = scipy.sparse.csc_matrix(counts)
    elif not sparse:
        data.X = counts.astype("f4" if kind == "dense" else kind)
    path = tmp_path / "fine.h5ad"
    facts = facts_of(data, path, compression=compression)
    values = data.X.nnz if sparse else 200 * 500
    assert (facts.cells, facts.genes, facts.matrix, facts.var, facts.counts, facts.legacy) == (200, 500, "X", "var", True, False)
    assert (facts.values, facts.sparse) == (values, sparse)
    assert values < facts.declared_bytes < values * 8 + MIB
    assert readable(path, facts).sum() == data.X.astype("f4").sum()


@pytest.mark.parametrize("kind", ["i2", "u2", "i8", "u4", ">i4"])
def test_indices_of_every_integer_are_accepted(small: Path, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "indices.h5ad"
    shutil.copy(small, path)
    with h5py.File(path, "r+") as file:
        # Pointers are larger than two bytes have room for.
        for part, of in (("indices", kind), ("indptr", "i4" if kind in ("i2", "u2") else kind)):
            values = file[f"X/{part}"][:].astype(of)  # pyright: ignore[reportIndexIssue, reportAttributeAccessIssue]
            del file[f"X/{part}"]
            file[f"X/{part}"] = values
    facts = scan(path, memory=4 * GIB)
    matrix = readable(path, facts)
    matrix.sum_duplicates()
    assert matrix.sum() == readable(small, facts).sum()


def test_indices_in_any_order_are_accepted(tmp_path: Path, make_data: Any) -> None:
    data = make_data()
    matrix = data.X
    for row in range(matrix.shape[0]):
        part = slice(matrix.indptr[row], matrix.indptr[row + 1])
        matrix.indices[part] = matrix.indices[part][::-1].copy()
        matrix.data[part] = matrix.data[part][::-1].copy()
    assert facts_of(data, tmp_path / "unsorted.h5ad").values == matrix.nnz


def test_a_full_object_with_every_kind_of_element_is_accepted(tmp_path: Path, make_data: Any) -> None:
    data = make_data()
    data.obs["text"] = pd.array(["a", "é"] * 100, dtype="string")
    data.obs["integers"] = pd.array([1, None] * 100, dtype="Int64")
    data.obs["flags"] = pd.array([True, None] * 100, dtype="boolean")
    data.obs["bools"] = [True, False] * 100
    data.obs["category"] = pd.Categorical([None, "x"] * 100)
    data.obs["numbers"] = pd.Categorical([1.5, 2.5] * 100, ordered=True)
    data.obs["two/parts"] = np.arange(200)
    data.obsm["X_umap"] = np.zeros((200, 2))
    data.obsm["table"] = pd.DataFrame({"a": np.arange(200)}, index=data.obs_names)
    data.varm["PCs"] = np.zeros((500, 3))
    data.layers["counts"] = data.X.copy()
    data.layers["dense"] = data.X.toarray()
    data.obsp["connectivities"] = scipy.sparse.csr_matrix((200, 200))
    data.uns["nested"] = {"deeper": {"array": np.arange(3), "text": "x", "none": np.array([])}}
    data.uns["texts"] = np.array(["a", "b"])
    data.uns["number"] = 1.5
    data.uns["complex"] = np.array([1j])
    data.uns["table"] = pd.DataFrame({"a": ["x"], "b": [1]})
    data.uns["kind_colors"] = ["#ffffff"] * 3
    data.raw = data
    groups = ["kind-0", "kind-1", "kind-2"]
    names = np.rec.fromarrays([np.array(["a", "b"], dtype=object)] * 3, dtype=[(group, "O") for group in groups])
    scores = np.rec.fromarrays([np.zeros(2)] * 3, dtype=[(group, "f4") for group in groups])
    data.uns["rank_genes_groups"] = {"params": {"groupby": "kind", "use_raw": False}, "names": names, "scores": scores}
    data.uns["dendrogram_kind"] = {"linkage": np.zeros((2, 4)), "groupby": ["kind"], "categories_ordered": groups}
    data.X.data = np.log1p(data.X.data)
    path = tmp_path / "full.h5ad"
    with warnings.catch_warnings():
        # A column of two parts is written still, with a warning.
        warnings.simplefilter("ignore")
        facts = facts_of(data, path)
    assert (facts.matrix, facts.counts) == ("X", False)
    readable(path, facts)


@pytest.mark.parametrize("libver", ["earliest", "v108", "v110", "latest"])
def test_every_version_of_the_format_is_accepted(small: Path, tmp_path: Path, libver: Any) -> None:
    path = tmp_path / "other.h5ad"
    with h5py.File(small) as source, h5py.File(path, "w", libver=libver, track_order=True) as file:
        for name in source:
            source.copy(name, file)
        file.attrs.update({name: source.attrs[name] for name in source.attrs})
    assert scan(path, memory=4 * GIB).cells == 200


def test_a_missing_matrix_gives_way_to_raw(tmp_path: Path, make_data: Any) -> None:
    data = make_data()
    data.raw = data
    del data.X
    facts = facts_of(data, tmp_path / "missing.h5ad")
    assert (facts.matrix, facts.var, facts.counts, facts.sparse) == ("raw/X", "raw/var", True, True)


def test_scaled_values_give_way_to_raw(tmp_path: Path, make_data: Any) -> None:
    data = make_data()
    data.raw = data
    data.X = data.X.toarray() - 1
    assert facts_of(data, tmp_path / "scaled.h5ad").matrix == "raw/X"


def test_names_may_be_there_twice(tmp_path: Path, make_data: Any) -> None:
    data = make_data()
    data.obs_names = ["same"] * 200
    data.var_names = ["same"] * 500
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert facts_of(data, tmp_path / "same.h5ad").cells == 200


def test_no_columns_at_all_are_accepted(tmp_path: Path) -> None:
    assert facts_of(anndata.AnnData(np.ones((50, 60), dtype="f4")), tmp_path / "bare.h5ad").genes == 60


def as_0_7(file: Any) -> None:
    """obs as anndata 0.7 wrote it: numbers that refer to categories beside them."""
    obs = file["obs"]
    codes, categories = obs["kind/codes"][:], obs["kind/categories"][:]
    del obs["kind"]
    obs.attrs["encoding-version"] = "0.1.0"
    obs["kind"] = codes
    obs["__categories/kind"] = categories
    obs["__categories/kind"].attrs["ordered"] = False
    obs["kind"].attrs["categories"] = obs["__categories/kind"].ref


def test_a_file_of_anndata_0_7_is_accepted(small: Path, tmp_path: Path) -> None:
    path = tmp_path / "old.h5ad"
    shutil.copy(small, path)
    with h5py.File(path, "r+") as file:
        as_0_7(file)
    facts = scan(path, memory=4 * GIB)
    readable(path, facts)
    assert not facts.legacy


def test_a_file_of_anndata_before_0_7_is_accepted() -> None:
    shipped = Path(scanpy.__file__).parent / "datasets" / "10x_pbmc68k_reduced.h5ad"
    facts = scan(shipped, memory=4 * GIB)
    assert (facts.cells, facts.genes, facts.matrix, facts.var) == (700, 765, "raw.X", "raw.var")
    assert (facts.counts, facts.legacy, facts.sparse) == (False, True, True)
