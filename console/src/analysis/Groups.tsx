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
  palette,
}: {
  title: string;
  name: string;
  groups: Sized[];
  /** The groups in the order of their colours; null where they have none. */
  palette: readonly string[] | null;
}) {
  const theme = useTheme();
  const all = groups.reduce((sum, { cells }) => sum + cells, 0);
  const most = Math.max(1, ...groups.map(({ cells }) => cells));
  const rows = groups.map((group) => {
    const code = palette?.indexOf(group.name) ?? -1;
    return { ...group, colour: code < 0 ? null : categoryColour(code, theme) };
  });
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
                {row.colour && <Swatch colour={row.colour} />}
                {row.name}
              </span>
            ),
          },
          { id: "cells", header: "Cells", value: (row) => row.cells, cell: (row) => number(row.cells), number: true },
          {
            id: "share",
            header: "Share",
            value: (row) => row.cells / all,
            cell: (row) => `${((100 * row.cells) / all).toFixed(1)}\u00a0%`,
            number: true,
          },
          {
            id: "chart",
            header: "Chart",
            value: (row) => row.cells,
            sortable: false,
            cell: (row) => <Meter share={row.cells / most} colour={row.colour ? css(row.colour) : undefined} />,
          },
        ]}
      />
    </Panel>
  );
}
