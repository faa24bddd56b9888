import { useMemo, useState } from "react";
import { measured, number } from "../lib/format";
import { DataTable, Loading, Notice, Panel, Problem, Select } from "../ui";
import { useTableOf } from "./queries";
import { records } from "./tables";

const ALL = "";

function choices(names: Iterable<string>) {
  const sorted = [...new Set(names)].sort((a, b) => a.localeCompare(b, undefined, { numeric: true }));
  return [{ value: ALL, label: "All cell types" }, ...sorted.map((name) => ({ value: name, label: name }))];
}

/** Ligand-receptor pairs, thousands of them: search, sort, and one cell type on each side. */
export function Communication({ id }: { id: string }) {
  const { data, error, isPending } = useTableOf(id, "communication_scores.csv");
  const [source, setSource] = useState(ALL);
  const [target, setTarget] = useState(ALL);
  const rows = useMemo(
    () =>
      (data ? records(data) : []).map((row, place) => ({
        place,
        source: String(row.source),
        target: String(row.target),
        ligand: String(row.ligand),
        receptor: String(row.receptor),
        score: typeof row.communication_score === "number" ? row.communication_score : null,
      })),
    [data],
  );
  const shown = useMemo(
    () => rows.filter((row) => (source === ALL || row.source === source) && (target === ALL || row.target === target)),
    [rows, source, target],
  );
  return (
    <Panel title="Ligand-receptor pairs">
      {isPending && <Loading what="the ligand-receptor pairs" />}
      {error && <Problem error={error} />}
      {data && rows.length === 0 && <p>No ligand-receptor pair of HeartMAP's list is expressed in these cells.</p>}
      {data?.truncated && (
        <Notice tone="warn" title={`These are the first ${number(rows.length)} rows. The file has all of them.`} />
      )}
      {rows.length > 0 && (
        <>
          <div className="row">
            <Select
              label="Ligand from"
              value={source}
              options={choices(rows.map((row) => row.source))}
              onChange={setSource}
            />
            <Select
              label="Receptor on"
              value={target}
              options={choices(rows.map((row) => row.target))}
              onChange={setTarget}
            />
          </div>
          <DataTable
            caption="pairs"
            search
            rows={shown}
            rowKey={(row) => String(row.place)}
            sort={{ id: "score", desc: true }}
            columns={[
              { id: "source", header: "Ligand from", value: (row) => row.source },
              { id: "target", header: "Receptor on", value: (row) => row.target },
              { id: "ligand", header: "Ligand", value: (row) => row.ligand },
              { id: "receptor", header: "Receptor", value: (row) => row.receptor },
              {
                id: "score",
                header: "Communication score",
                value: (row) => row.score,
                cell: (row) => (row.score === null ? "" : measured(row.score)),
                number: true,
              },
            ]}
          />
        </>
      )}
    </Panel>
  );
}
