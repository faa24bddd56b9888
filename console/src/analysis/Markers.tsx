import { useMemo, useState } from "react";
import { measured } from "../lib/format";
import { Button, DataTable, Loading, Panel, Problem, Select } from "../ui";
import { useTableOf } from "./queries";
import { records } from "./tables";

const ALL = "";

/** Marker genes by cluster. A gene colours the embedding. */
export function Markers({ id, onGene }: { id: string; onGene: ((gene: string) => void) | null }) {
  const { data, error, isPending } = useTableOf(id, "marker_genes.csv");
  const [cluster, setCluster] = useState(ALL);
  const rows = useMemo(() => (data ? records(data) : []), [data]);
  const clusters = useMemo(() => [...new Set(rows.map((row) => String(row.cluster)))], [rows]);
  const shown = useMemo(
    () => rows.filter((row) => cluster === ALL || String(row.cluster) === cluster),
    [rows, cluster],
  );
  return (
    <Panel title="Marker genes">
      {isPending && <Loading what="the marker genes" />}
      {error && <Problem error={error} />}
      {data && rows.length === 0 && <p>There is one cluster only, so no marker genes.</p>}
      {rows.length > 0 && (
        <>
          <p className="muted">
            Wilcoxon rank-sum test of each cluster against all other cells.
            {onGene && " A gene colours the embedding."}
          </p>
          <Select
            label="Markers of cluster"
            value={cluster}
            options={[{ value: ALL, label: "All clusters" }, ...clusters.map((name) => ({ value: name, label: name }))]}
            onChange={setCluster}
          />
          <DataTable
            caption="markers"
            search
            rows={shown}
            rowKey={(row) => `${row.cluster} ${row.rank}`}
            columns={[
              { id: "cluster", header: "Cluster", value: (row) => row.cluster },
              { id: "rank", header: "Rank", value: (row) => row.rank, number: true },
              {
                id: "gene",
                header: "Gene",
                value: (row) => row.gene,
                cell: (row) =>
                  onGene ? (
                    <Button kind="plain" className="gene" onPress={() => onGene(String(row.gene))}>
                      {String(row.gene)}
                    </Button>
                  ) : (
                    String(row.gene)
                  ),
              },
              ...["score", "log2_fold_change", "p_value_adjusted"].map((name) => ({
                id: name,
                header: HEADERS[name] ?? name,
                value: (row: (typeof rows)[number]) => row[name],
                cell: (row: (typeof rows)[number]) => shownNumber(row[name]),
                number: true,
              })),
            ]}
          />
        </>
      )}
    </Panel>
  );
}

const HEADERS: Record<string, string> = {
  score: "Score",
  log2_fold_change: "log2 fold change",
  p_value_adjusted: "Adjusted p-value",
};

function shownNumber(value: string | number | null | undefined): string {
  return typeof value === "number" ? measured(value) : (value ?? "");
}
