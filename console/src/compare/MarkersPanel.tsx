import { useMemo } from "react";
import { useTableOf } from "../analysis/queries";
import { DataTable, Loading, Panel, Problem } from "../ui";
import { markersOf, matches } from "./common";

const NAME = "marker_genes.csv";

/** Clusters that are alike by their marker genes: also of different data sets. */
export function MarkersPanel({ a, b }: { a: string; b: string }) {
  const [left, right] = [useTableOf(a, NAME), useTableOf(b, NAME)];
  const rows = useMemo(
    () => (left.data && right.data ? matches(markersOf(left.data), markersOf(right.data)) : null),
    [left.data, right.data],
  );
  const error = left.error ?? right.error;
  return (
    <Panel title="Marker genes in common">
      <p className="muted">For each cluster of A the one of B that shares the most marker genes with it.</p>
      {error && <Problem error={error} />}
      {!error && !rows && <Loading what="the marker genes of both" />}
      {rows && (
        <DataTable
          caption="matched clusters"
          rows={rows}
          rowKey={(row) => row.a}
          search
          columns={[
            { id: "a", header: "Cluster of A", value: (row) => row.a },
            { id: "b", header: "Cluster of B", value: (row) => row.b },
            { id: "count", header: "In common", value: (row) => row.genes.length, number: true },
            {
              id: "jaccard",
              header: "Jaccard index",
              value: (row) => row.jaccard,
              cell: (row) => row.jaccard.toFixed(2),
              number: true,
            },
            { id: "genes", header: "Genes", value: (row) => row.genes.join(", "), sortable: false },
          ]}
        />
      )}
    </Panel>
  );
}
