"""What is fuzzed: the bytes of a file in, and whatever must hold of the scan's answer is asserted.

Nothing here needs a fuzzer. Only Refused may come out of a scan, and what is accepted is what it is said to be.
"""

import io
import tempfile
from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import pandas as pd
import scipy.sparse

from heartmap_service.refusals import SENTENCES
from heartmap_service.scan import Facts, Refused, scan
from heartmap_service.settings import GIB

CELLS = GENES = 41


def seeds() -> dict[str, bytes]:
    """Small files, each of another form, all of which pass."""
    random = np.random.default_rng(3)
    counts = random.poisson(0.3, (CELLS, GENES)).astype(np.float32)
    made: dict[str, bytes] = {}
    for name, options in {"plain": {}, "gzip": {"compression": "gzip"}, "lzf": {"compression": "lzf"}}.items():
        data = anndata.AnnData(scipy.sparse.csr_matrix(counts) if name != "lzf" else counts)
        data.obs["kind"] = pd.Categorical(["a", "b", "c"] * 13 + ["a", "b"])
        data.obs["flag"] = pd.array([True, None] * 20 + [True], dtype="boolean")
        if name == "gzip":
            data.raw = data
            data.uns["x"] = {"y": "z"}
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / "seed.h5ad"
            data.write_h5ad(path, **options)
            made[name] = path.read_bytes()
    made["legacy"] = _file(_legacy, counts)
    made["latest"] = _file(_legacy, counts, libver="latest")
    return made


def _file(write: Any, counts: Any, **options: Any) -> bytes:
    stream = io.BytesIO()
    with h5py.File(stream, "w", **options) as file:
        write(file, counts)
    return stream.getvalue()


def _legacy(file: Any, counts: Any) -> None:
    """As anndata wrote before 0.7."""
    names = [f"n{number}" for number in range(CELLS)]
    file["obs"] = np.array([(name, 0) for name in names], dtype=[("index", "S8"), ("kind", "i1")])
    file["var"] = np.array([(name,) for name in names], dtype=[("index", "S8")])
    file.create_dataset("X", data=counts, chunks=(10, 10), compression="gzip", shuffle=True, fletcher32=True)
    file["uns/kind_categories"] = ["a"]


def scanned(data: bytes, path: Path) -> Facts | None:
    """Scans ``data``, written to ``path``."""
    path.write_bytes(data)
    try:
        facts = scan(path, memory=4 * GIB)
    except Refused as refused:
        answer = refused
    else:
        _check_facts(path, facts)
        return facts
    assert answer.code in SENTENCES
    assert answer.detail.isprintable()
    assert len(answer.detail) <= 1000
    return None


def _check_facts(path: Path, facts: Facts) -> None:
    assert facts.cells >= CELLS
    assert facts.genes >= GENES
    if facts.values <= 1_000_000:
        _check_matrix(path, facts)


def _check_matrix(path: Path, facts: Facts) -> None:
    """The matrix, read without the scan, is what was said."""
    with h5py.File(path, "r", locking=False) as file:
        node: Any = file[facts.matrix]
        if not facts.sparse:
            assert node.shape == (facts.cells, facts.genes)
            values = node[()]
        else:
            values, indices, pointers = (node[part][()] for part in ("data", "indices", "indptr"))
            kind = scipy.sparse.csc_matrix if len(pointers) != facts.cells + 1 else scipy.sparse.csr_matrix
            matrix = kind((values, indices, pointers), shape=(facts.cells, facts.genes))
            matrix.check_format(full_check=True)
            assert matrix.nnz == facts.values
        with np.errstate(over="ignore"):
            single = np.asarray(values).astype(np.float32)
    assert np.isfinite(single).all()
    assert (single >= 0).all()
