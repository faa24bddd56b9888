import { records, type Table } from "../analysis/tables";

export interface Match {
  a: string;
  b: string;
  genes: string[];
  /** Genes that both have, of those that either has. */
  jaccard: number;
}

/** The marker genes of each cluster, in the order of their ranks. */
export function markersOf(table: Table): Map<string, string[]> {
  const genes = new Map<string, string[]>();
  for (const row of records(table)) {
    const cluster = String(row.cluster);
    genes.set(cluster, [...(genes.get(cluster) ?? []), String(row.gene)]);
  }
  return genes;
}

/** For each cluster of the one, the cluster of the other with the most marker genes in common, and these genes. */
export function matches(a: ReadonlyMap<string, string[]>, b: ReadonlyMap<string, string[]>): Match[] {
  return [...a].flatMap(([name, genes]) => {
    let best: Match | null = null;
    for (const [other, theirs] of b) {
      const known = new Set(theirs);
      const common = genes.filter((gene) => known.has(gene));
      const jaccard = common.length / (genes.length + known.size - common.length || 1);
      if (!best || jaccard > best.jaccard) best = { a: name, b: other, genes: common, jaccard };
    }
    return best ? [best] : [];
  });
}
