"""HeartMAP's pipelines by their real names: what each does, which options act on it, what it cannot do. No heavy import."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from heartmap_service.configuration import PipelineConfig

AnalysisType = Literal["basic", "advanced_communication", "multi_chamber", "comprehensive"]
ANALYSIS_TYPES: tuple[AnalysisType, ...] = get_args(AnalysisType)
DEFAULT_TYPE: AnalysisType = "comprehensive"

# HeartMAP's processing takes 40 principal components where there are more than 50 genes; PCA gives one less than there are cells.
MIN_CELLS = 41
MIN_GENES = 41

CELL_TYPE_COLUMNS = ("leiden", "louvain", "Cluster", "cluster", "cell_type", "celltype")
"""Where HeartMAP's communication pipeline looks for cell types, in this order."""


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """Something that HeartMAP 2.0.2 puts out and this service does not pass on, and why."""

    what: str
    why: str


@dataclass(frozen=True, kw_only=True)
class Pipeline:
    title: str
    description: str
    needs: str
    options: tuple[str, ...]
    """Fields of the configuration that act on this pipeline, and may be set for one analysis."""
    produces: tuple[str, ...]
    left_out: tuple[LeftOut, ...] = ()


_ALL_OPTIONS = tuple(PipelineConfig.model_fields)
_NEEDS_COUNTS = f"counts in X or raw, at least {MIN_CELLS} cells and {MIN_GENES} genes after filtering"
_CLUSTERING = ("annotated.h5ad", "cells.csv", "cluster_sizes.csv", "umap_clusters.png", "qc_metrics.png", "summary.json")

PIPELINES: Mapping[AnalysisType, Pipeline] = {
    "basic": Pipeline(
        title="Basic",
        description="Quality control, normalisation, PCA, neighbours, Leiden clusters and UMAP.",
        needs=_NEEDS_COUNTS,
        options=_ALL_OPTIONS,
        produces=_CLUSTERING,
    ),
    "advanced_communication": Pipeline(
        title="Advanced communication",
        description="Ligand-receptor co-expression between cell types, from HeartMAP's list of cardiac pairs. "
        "Counts are normalised first; "
        f"without cell types in obs ({', '.join(CELL_TYPE_COLUMNS)}) the cells are clustered first.",
        needs=_NEEDS_COUNTS + ", gene symbols as the names of the genes",
        options=_ALL_OPTIONS,
        produces=("annotated.h5ad", "communication_scores.csv", "communication_pairs.png", "summary.json"),
        left_out=(
            LeftOut(what="hub scores", why="HeartMAP 2.0.2 computes one value a cell type but assigns them to the wrong cells."),
            LeftOut(what="pathway scores", why="HeartMAP 2.0.2 returns an empty table."),
        ),
    ),
    "multi_chamber": Pipeline(
        title="Multi-chamber",
        description="How the cells are divided among the chambers of the heart.",
        needs="a column 'chamber' in obs",
        options=(),
        produces=("annotated.h5ad", "chamber_composition.csv", "chamber_composition.png", "summary.json"),
        left_out=(
            LeftOut(what="chamber markers", why="HeartMAP 2.0.2 computes none; its figure is four empty axes."),
            LeftOut(what="cross-chamber correlations", why="HeartMAP 2.0.2 returns an empty table."),
        ),
    ),
    "comprehensive": Pipeline(
        title="Comprehensive",
        description="Everything of basic, marker genes of each cluster, and the chambers where obs has a column 'chamber'.",
        needs=_NEEDS_COUNTS,
        options=_ALL_OPTIONS,
        produces=(*_CLUSTERING, "marker_genes.csv", "marker_genes.png"),
        left_out=(
            LeftOut(
                what="cell-cell communication and hub scores",
                why="HeartMAP 2.0.2 draws random numbers for them here and stores them as NaN; use advanced_communication.",
            ),
            LeftOut(what="analysis report", why="HeartMAP 2.0.2 states findings in it that it has not computed."),
        ),
    ),
}
