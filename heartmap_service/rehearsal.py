"""Every pipeline once, on data sets that make the libraries compile all that they compile for users' files."""

import contextlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anndata
import numba
import numpy as np
import scanpy as sc
import scipy.sparse

from heartmap_service import dataset, pipelines
from heartmap_service.catalogue import AnalysisType
from heartmap_service.configuration import PipelineConfig
from heartmap_service.scan import scan
from heartmap_service.settings import GIB

APPROXIMATE_FROM = 8192
"""Cells from which on scanpy searches neighbours approximately, by other code."""
COMPONENTS = 40
NEIGHBOURS = 10


@contextlib.contextmanager
def _kept() -> Iterator[None]:
    """Within, numba keeps on disk what it compiles for umap and pynndescent too, which do not ask for it: 30 s at each start."""
    njit = numba.njit

    def keeping(*arguments: Any, **options: Any) -> Callable[..., Any]:
        return njit(*arguments, **{"cache": True, **options})

    numba.njit = keeping
    try:
        yield
    finally:
        numba.njit = njit


def rehearse() -> None:
    """What every analysis runs. In the working directory, which is to be empty, and is again."""
    with _kept():
        # scanpy imports them once it needs them.
        import pynndescent  # noqa: F401
        import umap  # noqa: F401

    out = Path("out")
    out.mkdir(exist_ok=True)
    config = PipelineConfig().model_dump()
    for analysis_type, data in _data_sets():
        source = Path("input.h5ad")
        data.write_h5ad(source)
        pipelines.run(analysis_type, config, source, scan(source, memory=4 * GIB), out, lambda _stage, _progress: None)
        source.unlink()
        for path in out.iterdir():
            path.unlink()
    shutil.rmtree("intermediate", ignore_errors=True)


def _data_sets() -> Iterator[tuple[AnalysisType, anndata.AnnData]]:
    """Of the bundled data set, whole or in part: sparse and dense."""
    data = dataset.build()
    data.obs["chamber"] = np.array(["LV", "RV", "LA", "RA"])[np.arange(data.n_obs) % 4]
    yield "comprehensive", data
    few = data[:200].copy()
    yield "advanced_communication", few
    few.X = scipy.sparse.csr_matrix(few.X).toarray()
    yield "comprehensive", few


def rehearse_large() -> None:
    """What is compiled besides for large data sets, and for the most part cannot be kept on disk: 20 s."""
    random = np.random.default_rng(0)
    data = anndata.AnnData(np.zeros((APPROXIMATE_FROM, 1), dtype=np.float32))
    data.obsm["X_pca"] = random.normal(size=(APPROXIMATE_FROM, COMPONENTS)).astype(np.float32)
    sc.pp.neighbors(data, n_neighbors=NEIGHBOURS, n_pcs=COMPONENTS, use_rep="X_pca")
