import type { ReactNode } from "react";
import { Link } from "react-router";
import { Figure, figureNames } from "../analysis/Figures";
import { Groups } from "../analysis/Groups";
import type { Results } from "../analysis/queries";
import type { Analysis, Upload } from "../lib/api";
import { moment, number } from "../lib/format";
import { typeName } from "../lib/states";
import { Panel } from "../ui";
import { compared } from "./differences";

export interface Side {
  analysis: Analysis;
  upload: Upload | undefined;
  results: Results;
}

/** What they are and how they differ: options, configuration, what was kept. */
export function Facts({ a, b }: { a: Side; b: Side }) {
  const values = compared(a.results.summary.config, b.results.summary.config);
  const versions = compared(a.results.summary.versions, b.results.summary.versions).filter(({ differs }) => differs);
  const same = a.analysis.upload_id === b.analysis.upload_id;
  return (
    <Panel title="What differs">
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls has to be reached by the keyboard (WCAG 2.1.1) */}
      <section className="table-box" tabIndex={0} aria-label="A and B, line by line">
        <table className="table lines">
          <caption className="visually-hidden">A and B, line by line</caption>
          <thead>
            <tr>
              <th scope="col">Of</th>
              <th scope="col">A</th>
              <th scope="col">B</th>
              <th scope="col">Same?</th>
            </tr>
          </thead>
          <tbody>
            <Line name="Analysis" a={<Name side={a} />} b={<Name side={b} />} />
            <Line name="Data set" a={dataset(a)} b={dataset(b)} differs={!same} />
            <Line {...line("Type", a, b, ({ analysis }) => typeName(analysis.analysis_type))} />
            <Line {...line("Configuration", a, b, ({ analysis }) => `version ${analysis.config_version}`)} />
            <Line {...line("Cells kept", a, b, (side) => kept(side, "cells"))} />
            <Line {...line("Genes kept", a, b, (side) => kept(side, "genes"))} />
            <Line {...line("Clusters", a, b, ({ results }) => number(results.summary.clusters.length))} />
            {values.map((value) => (
              <Line key={value.name} {...value} name={<code>{value.name}</code>} />
            ))}
            {versions.map((value) => (
              <Line key={value.name} {...value} name={`Version of ${value.name}`} />
            ))}
          </tbody>
        </table>
      </section>
    </Panel>
  );
}

function line(name: string, a: Side, b: Side, of: (side: Side) => string) {
  return { name, a: of(a), b: of(b), differs: of(a) !== of(b) };
}

function Line({ name, a, b, differs }: { name: ReactNode; a: ReactNode; b: ReactNode; differs?: boolean }) {
  return (
    <tr>
      <th scope="row">{name}</th>
      <td>{a}</td>
      <td>{b}</td>
      <td>
        {differs === true && <strong>differs</strong>}
        {differs === false && <span className="muted">same</span>}
      </td>
    </tr>
  );
}

function Name({ side: { analysis } }: { side: Side }) {
  return <Link to={`/analyses/${analysis.analysis_id}`}>{moment(analysis.created_at)}</Link>;
}

function dataset({ upload, analysis }: Side): string {
  return upload?.name ?? analysis.upload_id;
}

function kept({ results: { summary } }: Side, what: "cells" | "genes"): string {
  const value = summary[what];
  if (value === null) return "unknown";
  return summary.input ? `${number(value)} of ${number(summary.input[what])}` : number(value);
}

export function Sizes({ a, b }: { a: Side; b: Side }) {
  const sides = [["A", a] as const, ["B", b] as const].filter(([, side]) => side.results.summary.clusters.length > 0);
  if (sides.length === 0) return null;
  return (
    <div className="columns">
      {sides.map(([name, side]) => (
        <Groups
          key={name}
          title={`Clusters of ${name}`}
          name={`Cluster of ${name}`}
          groups={side.results.summary.clusters}
          palette={null}
        />
      ))}
    </div>
  );
}

/** Figures of the same name beside each other. */
export function FiguresOfBoth({ a, b }: { a: Side; b: Side }) {
  const theirs = new Set(figureNames(b.results.files));
  const names = figureNames(a.results.files).filter((name) => theirs.has(name));
  if (names.length === 0) return null;
  return (
    <Panel title="Figures side by side">
      {names.map((name) => (
        <div className="pair" key={name}>
          {[["A", a] as const, ["B", b] as const].map(([which, { analysis, results }]) => (
            <div key={which}>
              <p className="muted">{which}</p>
              <Figure id={analysis.analysis_id} name={name} summary={results.summary} />
            </div>
          ))}
        </div>
      ))}
    </Panel>
  );
}
