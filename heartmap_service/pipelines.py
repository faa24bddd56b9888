"""HeartMAP's own pipelines, run for their findings: what they compute is kept, what they make up is left out and said to be.

HeartMAP writes files only when it is given an output directory, and then its placeholders with them (catalogue.py lists these).
So each pipeline runs without one, and the tables and figures are made here from the AnnData object that it returns. Imports are
slow (5 s).
"""

import contextlib
import io
import json
import platform
import random
import re
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

import anndata
import h5py
import heartmap.config
import heartmap.data
import heartmap.pipelines
import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import scanpy as sc
import scipy.sparse

from heartmap_service.catalogue import CELL_TYPE_COLUMNS, MIN_CELLS, MIN_GENES, PIPELINES, AnalysisType
from heartmap_service.scan import Facts, Refused

Report = Callable[[str, float], None]
# anndata declares every table as possibly lazy; none of these is.
AnnData = Any

MARKERS = 25
"""Marker genes a cluster in the table; HeartMAP's own number."""
MARKERS_DRAWN = 3
SMALLEST_CLUSTER = 2
"""Cells below which a cluster has no variance and so no test."""
MAX_CHAMBERS = 16
DPI = 150

_STEP = re.compile(r"\s*(\d)\. ")
_STEPS = {1: ("processing", 0.1), 2: ("clustering", 0.5), 3: ("clustered", 0.7)}


class _Announcements(io.TextIOBase):
    """HeartMAP prints ``1. Loading …`` and so on: its only word about how far it is."""

    def __init__(self, report: Report) -> None:
        self._report = report

    def write(self, text: str) -> int:
        if (match := _STEP.match(text)) and (step := _STEPS.get(int(match.group(1)))):
            self._report(*step)
        return len(text)


class _Communication(heartmap.pipelines.AdvancedCommunicationPipeline):
    """Without what HeartMAP falls back to, random numbers, and without hub scores, which it gives to the wrong cells."""

    def _basic_communication_analysis(self, adata: Any, cluster_col: str) -> pd.DataFrame:  # noqa: ARG002  # HeartMAP's signature
        raise RuntimeError("HeartMAP's ligand-receptor analysis failed; its random fallback is no result")

    def _calculate_hub_scores(self, adata: Any, cluster_col: str) -> pd.Series:  # noqa: ARG002  # HeartMAP's signature
        return pd.Series(dtype=float)


def run(
    analysis_type: AnalysisType, config: dict[str, Any], source: Path, facts: Facts, out: Path, report: Report
) -> dict[str, Any]:
    """Runs one pipeline on a scanned file, writes its results into ``out`` and returns the summary, which is among them too.

    ``config`` holds the fields of PipelineConfig. Raises scan.Refused when the data set does not have what the pipeline needs.
    """
    mpl.use("Agg")
    # Of all that is random here only the sample of cells takes a seed from the configuration; the rest has fixed ones.
    np.random.seed(config["random_seed"])  # HeartMAP and scanpy draw from the global generator
    random.seed(config["random_seed"])  # as igraph does
    data = _read(source, facts)
    with contextlib.redirect_stdout(_Announcements(report)):
        result, findings = _PIPELINES[analysis_type](data, config, out, report)
    report("writing", 0.9)
    result.uns["heartmap_service"] = {"analysis_type": analysis_type, "heartmap_version": version("heartmap")}
    result.write_h5ad(out / "annotated.h5ad", compression="gzip")
    summary = {
        "analysis_type": analysis_type,
        "input": {"cells": facts.cells, "genes": facts.genes, "matrix": facts.matrix, "whole_numbers": facts.counts},
        "cells": int(result.n_obs),
        "genes": int(result.n_vars),
        "config": {name: config[name] for name in PIPELINES[analysis_type].options},
        **findings,
        "left_out": [{"what": item.what, "why": item.why} for item in PIPELINES[analysis_type].left_out],
        "notes": _notes(facts) + findings.get("notes", []),
        "versions": {"python": platform.python_version(), **{name: version(name) for name in _VERSIONS}},
    }
    (out / "summary.json").write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    return summary


_VERSIONS = ("heartmap", "scanpy", "anndata", "numpy", "scipy", "umap-learn", "leidenalg")


def _notes(facts: Facts) -> list[str]:
    notes = []
    if not facts.counts:
        notes.append(
            "The values are not whole numbers, so no raw counts. HeartMAP normalises them and takes the logarithm all the same."
        )
    if facts.matrix != "X":
        notes.append(f"The matrix analysed is {facts.matrix}: X is missing or holds negative values.")
    return notes


def _read(source: Path, facts: Facts) -> AnnData:
    """Matrix, obs and var. Embeddings and the rest of the input would be mistaken for results; HeartMAP even reuses an old
    UMAP."""
    matrix: Any
    obs: Any
    var: Any
    if facts.legacy:
        whole: Any = anndata.read_h5ad(source)
        matrix, obs = (whole.X, whole.obs) if facts.matrix == "X" else (whole.raw.X, whole.obs)
        var = whole.var if facts.matrix == "X" else whole.raw.var
    else:
        with h5py.File(source, "r", locking=False) as file:
            matrix, obs, var = (anndata.io.read_elem(cast("h5py.Group", file[name])) for name in (facts.matrix, "obs", facts.var))
    # Single precision and rows: what scanpy works in. Sparse matrices may hold their indices in any order.
    matrix = (
        scipy.sparse.csr_matrix(matrix, dtype=np.float32)
        if scipy.sparse.issparse(matrix)
        else np.asarray(matrix, dtype=np.float32)
    )
    if isinstance(matrix, scipy.sparse.csr_matrix):
        matrix.sum_duplicates()
    data = anndata.AnnData(matrix, obs=obs, var=var)
    data.var_names_make_unique()
    return data


def _check_filters(data: AnnData, config: dict[str, Any]) -> None:
    """Applies HeartMAP's two filters in the mind, because without cells or genes it ends in an error that explains nothing."""
    detected = data.X > 0
    cells = np.asarray(detected.sum(axis=1)).ravel() >= config["min_genes"]
    genes = np.asarray(detected[cells].sum(axis=0)).ravel() >= max(config["min_cells"], 1)
    if cells.sum() < MIN_CELLS:
        detail = (
            f"Only {cells.sum()} of {data.n_obs} cells have at least {config['min_genes']} detected genes; "
            f"HeartMAP needs {MIN_CELLS}. Lower min_genes, or upload more cells or genes."
        )
        raise Refused("too_few_cells", detail)
    if genes.sum() < MIN_GENES:
        detail = (
            f"Only {genes.sum()} of {data.n_vars} genes are detected in at least {config['min_cells']} cells; "
            f"HeartMAP needs {MIN_GENES}. Lower min_cells, or upload more genes."
        )
        raise Refused("too_few_genes", detail)


def _config(config: dict[str, Any]) -> heartmap.config.Config:
    """HeartMAP's configuration. Its intermediate files go where the job's directory ends with them."""
    settings = heartmap.config.Config.default()
    for name, value in config.items():
        setattr(settings.analysis if name == "resolution" else settings.data, name, value)
    settings.paths.processed_data_dir = "intermediate"
    return settings


@contextlib.contextmanager
def _as_file(data: AnnData) -> Iterator[str]:
    """HeartMAP takes paths only."""
    path = Path("prepared.h5ad")
    data.write_h5ad(path)
    try:
        yield str(path)
    finally:
        path.unlink()


# The four pipelines


Outcome = tuple[AnnData, dict[str, Any]]


def _basic(data: AnnData, config: dict[str, Any], out: Path, report: Report) -> Outcome:
    return _clustered(heartmap.pipelines.BasicPipeline, data, config, out, report)


def _comprehensive(data: AnnData, config: dict[str, Any], out: Path, report: Report) -> Outcome:
    result, findings = _clustered(heartmap.pipelines.ComprehensivePipeline, data, config, out, report)
    del result.obs["hub_score"]
    report("markers", 0.8)
    findings |= _markers(result, out)
    if "chamber" in result.obs:
        findings |= _chambers(result, config, out)
    return result, findings


def _advanced_communication(data: AnnData, config: dict[str, Any], out: Path, report: Report) -> Outcome:
    column = next((name for name in CELL_TYPE_COLUMNS if name in data.obs), None)
    _check_filters(data, config)
    with _as_file(data) as path:
        if column is None:
            data = heartmap.pipelines.BasicPipeline(_config(config)).run(path)["adata"]
        else:
            # Its thresholds are for normalised expression.
            data = heartmap.data.DataProcessor(_config(config)).process_from_raw(path)
    report("communication", 0.7)
    with _as_file(data) as path:
        scores = _Communication(_config(config)).run(path)["results"]["communication_scores"]
    if scores.empty:
        scores = pd.DataFrame(columns=pd.Index(["source", "target", "ligand", "receptor", "communication_score"]))
    scores = scores.sort_values(["communication_score", "source", "target", "ligand", "receptor"], ascending=[False] + [True] * 4)
    scores.to_csv(out / "communication_scores.csv", index=False)
    notes = [f"Cell types are those of obs[{column!r}]." if column else "obs has no cell types; the cells were clustered first."]
    if scores.empty:
        notes.append(
            "No ligand-receptor pair of HeartMAP's list is expressed in these cells. HeartMAP finds genes by their symbols."
        )
    else:
        _draw_communication(scores, out)
    return data, {"interactions": len(scores), "strongest": scores.head(10).to_dict("records"), "notes": notes}


def _multi_chamber(data: AnnData, config: dict[str, Any], out: Path, report: Report) -> Outcome:
    if "chamber" not in data.obs:
        raise Refused(
            "no_chambers", "obs has no column 'chamber'. Add one that names the chamber of each cell, and upload the file again."
        )
    with _as_file(data) as path:
        result = heartmap.pipelines.MultiChamberPipeline(_config(config)).run(path)["adata"]
    report("drawing", 0.6)
    return result, _chambers(result, config, out)


_PIPELINES: dict[AnalysisType, Callable[[AnnData, dict[str, Any], Path, Report], Outcome]] = {
    "basic": _basic,
    "advanced_communication": _advanced_communication,
    "multi_chamber": _multi_chamber,
    "comprehensive": _comprehensive,
}


# Findings


def _clustered(
    pipeline: type[heartmap.pipelines.BasePipeline], data: AnnData, config: dict[str, Any], out: Path, report: Report
) -> Outcome:
    _check_filters(data, config)
    settings = _config(config)
    with _as_file(data) as path:
        result = pipeline(settings).run(path)["adata"]
    if "X_umap" not in result.obsm:
        sc.tl.umap(result)
    report("drawing", 0.7)
    sizes = result.obs["leiden"].value_counts().sort_index(key=lambda index: index.astype(int))
    table = pd.DataFrame({"cluster": sizes.index, "cells": sizes.to_numpy(), "fraction": sizes.to_numpy() / result.n_obs})
    table.to_csv(out / "cluster_sizes.csv", index=False)
    cells = pd.DataFrame(result.obsm["X_umap"], index=result.obs_names, columns=pd.Index(["umap_1", "umap_2"]))
    cells.insert(0, "cluster", result.obs["leiden"])
    cells.to_csv(out / "cells.csv", index_label="cell")
    sc.pl.umap(result, color="leiden", legend_loc="on data", title=f"Leiden clusters of {result.n_obs:,} cells", show=False)
    _save(out / "umap_clusters.png")
    heartmap.pipelines.Visualizer(settings).plot_qc_metrics(result, out)
    clusters = [{"cluster": str(name), "cells": int(count)} for name, count in sizes.items()]
    return result, {"clusters": clusters}


def _markers(data: AnnData, out: Path) -> dict[str, Any]:
    sizes = data.obs["leiden"].value_counts()
    groups = sorted((name for name, cells in sizes.items() if cells >= SMALLEST_CLUSTER), key=int)
    columns = ["cluster", "rank", "gene", "score", "log2_fold_change", "p_value_adjusted"]
    if len(groups) < 2:
        pd.DataFrame(columns=pd.Index(columns)).to_csv(out / "marker_genes.csv", index=False)
        return {
            "markers": {},
            "notes": ["There is one cluster only, so no marker genes. A higher resolution gives more clusters."],
        }
    # use_raw: HeartMAP keeps the counts in raw, and the test is for normalised expression.
    sc.tl.rank_genes_groups(data, "leiden", groups=groups, method="wilcoxon", n_genes=MARKERS, use_raw=False)
    found = sc.get.rank_genes_groups_df(data, group=None)
    if "group" not in found:
        found.insert(0, "group", groups[0])
    found.insert(1, "rank", found.groupby("group", observed=True).cumcount() + 1)
    found = found.rename(
        columns={
            "group": "cluster",
            "names": "gene",
            "scores": "score",
            "logfoldchanges": "log2_fold_change",
            "pvals_adj": "p_value_adjusted",
        }
    )
    found[columns].to_csv(out / "marker_genes.csv", index=False)
    sc.pl.rank_genes_groups_dotplot(data, groups=groups, n_genes=MARKERS_DRAWN, use_raw=False, dendrogram=False, show=False)
    _save(out / "marker_genes.png")
    top = found[found["rank"] <= 5].groupby("cluster", observed=True)["gene"].apply(list)
    return {"markers": {str(name): [str(gene) for gene in genes] for name, genes in top.items()}}


def _chambers(data: AnnData, config: dict[str, Any], out: Path) -> dict[str, Any]:
    sizes = data.obs["chamber"].value_counts()
    if len(sizes) > MAX_CHAMBERS:
        raise Refused(
            "too_many_chambers",
            f"obs['chamber'] has {len(sizes)} different values. Give the chambers of the heart, at most {MAX_CHAMBERS}.",
        )
    table = pd.DataFrame(
        {"chamber": sizes.index.astype(str), "cells": sizes.to_numpy(), "fraction": sizes.to_numpy() / data.n_obs}
    )
    table.to_csv(out / "chamber_composition.csv", index=False)
    heartmap.pipelines.Visualizer(_config(config)).plot_chamber_composition(data, out)
    return {"chambers": [{"chamber": str(name), "cells": int(count)} for name, count in sizes.items()]}


def _draw_communication(scores: pd.DataFrame, out: Path) -> None:
    """HeartMAP's own heat map fails here: it wants one row a pair of cell types."""
    pairs = scores.groupby(["source", "target"]).size().unstack(fill_value=0)
    size = max(4.0, 0.45 * len(pairs.columns) + 2)
    figure, axes = plt.subplots(figsize=(size + 1, size), layout="constrained")
    image = axes.imshow(pairs.to_numpy(), cmap="viridis", vmin=0)
    axes.set_xticks(range(len(pairs.columns)), pairs.columns, rotation=45, ha="right")
    axes.set_yticks(range(len(pairs.index)), pairs.index)
    axes.set_xlabel("receptor on")
    axes.set_ylabel("ligand from")
    axes.set_title("Co-expressed ligand-receptor pairs")
    figure.colorbar(image, ax=axes, label="pairs", shrink=0.8)
    _save(out / "communication_pairs.png")


def _save(path: Path) -> None:
    # Without matplotlib's version among the metadata: versions are in the summary.
    plt.savefig(path, dpi=DPI, bbox_inches="tight", metadata={"Software": None})
    plt.close("all")
