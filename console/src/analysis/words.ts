/** What the page says about states, failures and files. */
import type { Analysis } from "../lib/api";
import { number } from "../lib/format";

const OPTIONS = "Run it again with other options.";
const REPORT = "Run it again. If it fails again, give an administrator the id of the analysis.";
const ADVICE: Record<string, string> = {
  out_of_memory: "Run it again with fewer cells or genes: max_cells_subset and max_genes_subset take a sample.",
  out_of_time: "Run it again with fewer cells: max_cells_subset takes a sample.",
  too_few_cells: OPTIONS,
  too_few_genes: OPTIONS,
  no_chambers: "Run another type of analysis, or upload the data set with that column.",
  too_many_chambers: "Correct the column in the data set, and upload it again.",
  crashed: REPORT,
  internal: REPORT,
};

/** What to do about a failure, beside what its detail says. */
export function advice(code: string): string {
  return ADVICE[code] ?? "Change the data set as it says, upload it again and run it anew.";
}

/** Left of the estimated time, in seconds; null where there is no estimate or it has passed. */
export function secondsLeft(analysis: Analysis, now: number): number | null {
  if (!analysis.estimate || !analysis.started_at) return null;
  const left = analysis.estimate.seconds - (now - Date.parse(analysis.started_at)) / 1000;
  return left > 0 ? left : null;
}

/** What a figure shows, for those who do not see it. */
export function figure(
  name: string,
  { cells, clusters, chambers }: { cells: number | null; clusters: number; chambers: number },
) {
  const all = cells === null ? "the cells" : `${number(cells)} cells`;
  const figures: Record<string, { title: string; alt: string }> = {
    "umap_clusters.png": {
      title: "Clusters on the UMAP",
      alt: `UMAP of ${all} as points, coloured by their Leiden cluster. ${clusters} clusters, each with its number on it.`,
    },
    "qc_metrics.png": {
      title: "Quality control",
      alt: `Three histograms over ${all}, of genes per cell, of total counts per cell and of the percentage of mitochondrial counts, and a scatter plot of genes against counts.`,
    },
    "marker_genes.png": {
      title: "Marker genes",
      alt: `Dot plot of the first three marker genes of each of ${clusters} clusters. The size of a dot is the share of the cluster's cells with the gene, its colour the mean expression.`,
    },
    "communication_pairs.png": {
      title: "Ligand-receptor pairs",
      alt: "Heat map: how many ligand-receptor pairs are expressed together, by the cell type with the ligand and the one with the receptor.",
    },
    "chamber_composition.png": {
      title: "Chambers",
      alt: `Chart of how ${all} are divided among ${chambers} chambers.`,
    },
  };
  return figures[name] ?? { title: name, alt: `The figure ${name}.` };
}

/** A value of the configuration; null stands for no limit there. */
export function setting(value: unknown): string {
  if (value === null || value === undefined) return "no limit";
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}
