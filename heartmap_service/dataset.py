"""The bundled data set, made from the cells that scanpy ships: ``python -m heartmap_service.dataset OUT.h5ad``.

``pbmc68k_reduced`` holds 700 blood cells (not heart cells) of 10x Genomics' "Fresh 68k PBMCs" and 765 of their genes. Its raw
layer is log1p(10,000 x count / total of the cell), rounded to three decimals, with the totals in ``obs["n_counts"]``; so the
counts themselves come back exactly, and ``counts`` proves it for every value.
"""

import sys
from pathlib import Path

import anndata
import numpy as np
import scanpy as sc
import scipy.sparse

ROUNDING = 0.001
"""Largest relative distance from a whole number that three decimals of a logarithm can make."""


def counts(normalised: scipy.sparse.csr_matrix, totals: np.ndarray) -> scipy.sparse.csr_matrix:
    """UMI counts from log1p of counts per 10,000. Raises ValueError when a value does not come out as a whole number."""
    scale = np.repeat(totals.astype(float) / 1e4, np.diff(normalised.indptr))
    exact = np.expm1(normalised.data.astype(float)) * scale
    whole = np.round(exact)
    if (np.abs(exact - whole) > ROUNDING * whole).any() or (whole < 1).any():
        raise ValueError("the data set that scanpy ships is not what it was: its raw layer does not give whole counts")
    return scipy.sparse.csr_matrix((whole.astype(np.float32), normalised.indices, normalised.indptr), shape=normalised.shape)


def build() -> anndata.AnnData:
    """700 cells by 765 genes of UMI counts; ``obs["cell_type"]`` holds the labels published with the cells."""
    shipped = sc.datasets.pbmc68k_reduced()
    data = anndata.AnnData(counts(scipy.sparse.csr_matrix(shipped.raw.X), shipped.obs["n_counts"].to_numpy()))
    data.obs.index = shipped.obs_names
    data.var.index = shipped.raw.var_names
    data.obs["cell_type"] = shipped.obs["bulk_labels"].to_numpy()
    data.uns["source"] = (
        "scanpy.datasets.pbmc68k_reduced, raw layer turned back into UMI counts; 10x Genomics, Fresh 68k PBMCs (Donor A)"
    )
    return data


def main(arguments: list[str]) -> int:
    """Writes the data set to the path given."""
    if len(arguments) != 1 or not arguments[0].endswith(".h5ad"):
        sys.stderr.write("usage: python -m heartmap_service.dataset OUT.h5ad\n")
        return 2
    out = Path(arguments[0])
    out.parent.mkdir(parents=True, exist_ok=True)
    build().write_h5ad(out, compression="gzip")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
