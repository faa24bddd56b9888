import { Meter } from "../charts/Meter";
import { categoryColour, css } from "../embedding/colours";
import { Swatch } from "../embedding/Legend";
import { useTheme } from "../embedding/theme";
import { number } from "../lib/format";
import { DataTable, Panel } from "../ui";
import type { Sized } from "./summary";

/** The sizes of clusters or of chambers: a table whose last column is a chart. Colours are those of the embedding. */
export function Groups({
  title,
  name,
  groups,
  coloured,
}: {
  title: string;
  name: string;
  groups: Sized[];
  coloured: boolean;
}) {
  const theme = useTheme();
  const all = groups.reduce((sum, { cells }) => sum + cells, 0);
  const most = Math.max(1, ...groups.map(({ cells }) => cells));
  const rows = groups.map((group, code) => ({ ...group, code }));
  return (
    <Panel title={title}>
      <DataTable
        caption={`Cells by ${name.toLowerCase()}`}
        rows={rows}
        rowKey={(row) => row.name}
        pageSize={30}
        columns={[
          {
            id: "name",
            header: name,
            value: (row) => (/^\d+$/.test(row.name) ? Number(row.name) : row.name),
            cell: (row) => (
              <span className="group-name">
                {coloured && <Swatch colour={categoryColour(row.code, theme)} />}
                {row.name}
              </span>
            ),
          },
          { id: "cells", header: "Cells", value: (row) => row.cells, cell: (row) => number(row.cells), number: true },
          {
            id: "share",
            header: "Share",
            value: (row) => row.cells / all,
            cell: (row) => `${((100 * row.cells) / all).toFixed(1)} %`,
            number: true,
          },
          {
            id: "chart",
            header: "Chart",
            value: (row) => row.cells,
            sortable: false,
            cell: (row) => (
              <Meter share={row.cells / most} colour={coloured ? css(categoryColour(row.code, theme)) : undefined} />
            ),
          },
        ]}
      />
    </Panel>
  );
}
