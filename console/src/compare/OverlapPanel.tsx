import { useMemo } from "react";
import { useTableOf } from "../analysis/queries";
import { number } from "../lib/format";
import { Loading, Notice, Panel, Problem } from "../ui";
import { adjustedRandIndex, clusterOf, type Overlap, overlap } from "./overlap";

const NAME = "cells.csv";
const LEVELS = 5;

/** Which cells of a cluster of A are in which cluster of B. */
export function OverlapPanel({ a, b }: { a: string; b: string }) {
  const [left, right] = [useTableOf(a, NAME), useTableOf(b, NAME)];
  const found = useMemo(
    () => (left.data && right.data ? overlap(clusterOf(left.data), clusterOf(right.data)) : null),
    [left.data, right.data],
  );
  const error = left.error ?? right.error;
  return (
    <Panel title="Overlap of the clusters">
      {error && <Problem error={error} />}
      {!error && !found && <Loading what="the cells of both" />}
      {(left.data?.truncated || right.data?.truncated) && (
        <Notice tone="warn" title="Only the first cells of each are compared: there are more than the console reads." />
      )}
      {found && found.shared === 0 && <p>They have no cell in common.</p>}
      {found && found.shared > 0 && <Found overlap={found} />}
    </Panel>
  );
}

function Found({ overlap: { rows, columns, counts, shared } }: { overlap: Overlap }) {
  const index = adjustedRandIndex(counts);
  return (
    <>
      <p>
        {number(shared)} cells are in both.
        {index !== null && (
          <>
            {" "}
            Adjusted Rand index <strong>{index.toFixed(3)}</strong>: 1 is the same division, 0 is what chance gives.
          </>
        )}
      </p>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls has to be reached by the keyboard (WCAG 2.1.1) */}
      <section className="table-box" tabIndex={0} aria-label="Cells by cluster of A and cluster of B">
        <table className="table contingency">
          <caption>
            Cells in a cluster of A (rows) and of B (columns); darker: a larger share of the cluster of A
          </caption>
          <thead>
            <tr>
              <th scope="col">A \ B</th>
              {columns.map((name) => (
                <th key={name} scope="col" className="number">
                  {name}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {rows.map((name, row) => {
              const line = counts[row] ?? [];
              const all = line.reduce((sum, value) => sum + value, 0);
              return (
                <tr key={name}>
                  <th scope="row">{name}</th>
                  {line.map((value, column) => (
                    <td key={columns[column]} className="number" data-level={Math.ceil((LEVELS * value) / all)}>
                      {value === 0 ? <span className="muted">0</span> : number(value)}
                    </td>
                  ))}
                </tr>
              );
            })}
          </tbody>
        </table>
      </section>
    </>
  );
}
