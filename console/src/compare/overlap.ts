/** How two divisions of the same cells into clusters agree. */
import type { Table } from "../analysis/tables";

export interface Overlap {
  rows: string[];
  columns: string[];
  /** Cells in a cluster of the one (row) and of the other (column). */
  counts: number[][];
  shared: number;
}

/** Cluster by cell, from cells.csv. */
export function clusterOf(table: Table): Map<string, string> {
  const place = (name: string) => table.columns.findIndex((column) => column.name === name);
  const [cell, cluster] = [place("cell"), place("cluster")];
  if (cell < 0 || cluster < 0) return new Map();
  return new Map(table.rows.map((row) => [String(row[cell]), String(row[cluster])]));
}

function names(values: Iterable<string>): string[] {
  return [...new Set(values)].sort((a, b) => a.localeCompare(b, undefined, { numeric: true }));
}

/** The contingency table of the cells that both hold. */
export function overlap(a: ReadonlyMap<string, string>, b: ReadonlyMap<string, string>): Overlap {
  const pairs: [string, string][] = [];
  for (const [cell, cluster] of a) {
    const other = b.get(cell);
    if (other !== undefined) pairs.push([cluster, other]);
  }
  const rows = names(pairs.map(([row]) => row));
  const columns = names(pairs.map(([, column]) => column));
  const [rowAt, columnAt] = [rows, columns].map((list) => new Map(list.map((name, at) => [name, at])));
  const counts = rows.map(() => new Array<number>(columns.length).fill(0));
  for (const [row, column] of pairs) {
    const line = counts[rowAt?.get(row) ?? -1];
    const at = columnAt?.get(column) ?? -1;
    if (line) line[at] = (line[at] ?? 0) + 1;
  }
  return { rows, columns, counts, shared: pairs.length };
}

const pairsOf = (n: number) => (n * (n - 1)) / 2;
const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);

/**
 * Hubert and Arabie 1985: 1 where both divide the cells alike, about 0 where they agree as chance would have it. Null without two cells.
 */
export function adjustedRandIndex(counts: readonly (readonly number[])[]): number | null {
  const rowSums = counts.map(sum);
  const columnSums = (counts[0] ?? []).map((_, column) => sum(counts.map((row) => row[column] ?? 0)));
  const all = pairsOf(sum(rowSums));
  if (all === 0) return null;
  const together = sum(counts.map((row) => sum(row.map(pairsOf))));
  const [inRows, inColumns] = [sum(rowSums.map(pairsOf)), sum(columnSums.map(pairsOf))];
  const expected = (inRows * inColumns) / all;
  const most = (inRows + inColumns) / 2;
  // Both put all cells together, or each cell by itself.
  return most === expected ? 1 : (together - expected) / (most - expected);
}
