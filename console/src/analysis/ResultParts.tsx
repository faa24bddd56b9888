import { useRef, useState } from "react";
import { Link } from "react-router";
import type { Analysis, Model } from "../lib/api";
import { number } from "../lib/format";
import { Loading, Panel, Problem } from "../ui";
import { Communication } from "./Communication";
import { Explore } from "./Explore";
import { Figures, figureNames } from "./Figures";
import { Files } from "./Files";
import { Groups } from "./Groups";
import { Markers } from "./Markers";
import { Provenance } from "./Provenance";
import { type Results, useCells, useResults } from "./queries";
import type { Summary } from "./summary";

/** The types that cluster cells, and so put them on a map. */
const MAPPED: ReadonlySet<Analysis["analysis_type"]> = new Set(["basic", "comprehensive"]);

/** What a succeeded analysis found. */
export function ResultParts({ analysis, model }: { analysis: Analysis; model: Model | undefined }) {
  const id = analysis.analysis_id;
  const { data: results, error, isPending } = useResults(id);
  // Known before the results are, so that cells and canvas need not wait for them.
  const mapped = MAPPED.has(analysis.analysis_type);
  const cells = useCells(id, mapped);
  const [gene, setGene] = useState<string | null>(null);
  const embedding = useRef<HTMLDivElement>(null);
  const show = (name: string) => {
    setGene(name);
    embedding.current?.focus();
  };
  return (
    <>
      {isPending && <Loading what="the results" />}
      {error && <Problem error={error} />}
      {results && <Kept summary={results.summary} model={model} />}
      {mapped && <Explore id={id} gene={gene} onGene={setGene} place={embedding} />}
      {results && (
        <Found
          id={id}
          results={results}
          palette={cells.data?.cells.categories[0]?.categories ?? null}
          onGene={cells.data?.cells.genes.length ? show : null}
        />
      )}
    </>
  );
}

/** Each part is shown where its file is there, so that a type of analysis which makes more is shown with more. */
function Found({
  id,
  results: { files, summary },
  palette,
  onGene,
}: {
  id: string;
  results: Results;
  palette: readonly string[] | null;
  onGene: ((gene: string) => void) | null;
}) {
  const has = (name: string) => files.some((file) => file.name === name);
  const figures = figureNames(files);
  return (
    <>
      <div className="columns">
        {summary.clusters.length > 0 && (
          <Groups title="Clusters" name="Cluster" groups={summary.clusters} palette={palette} />
        )}
        {summary.chambers.length > 0 && (
          <Groups title="Chambers" name="Chamber" groups={summary.chambers} palette={null} />
        )}
      </div>
      {has("marker_genes.csv") && <Markers id={id} onGene={onGene} />}
      {has("communication_scores.csv") && <Communication id={id} />}
      {figures.length > 0 && <Figures id={id} names={figures} summary={summary} />}
      {summary.leftOut.length > 0 && <LeftOut summary={summary} />}
      <Provenance id={id} hasManifest={has("manifest.json")} />
      <Files id={id} files={files} />
    </>
  );
}

function Kept({ summary, model }: { summary: Summary; model: Model | undefined }) {
  const { cells, genes, input, notes, interactions } = summary;
  return (
    <Panel title="In short">
      {model && <p className="muted">{model.description}</p>}
      <dl className="figures-in-short">
        {cells !== null && <Big name="cells" value={cells} of={input?.cells} />}
        {genes !== null && <Big name="genes" value={genes} of={input?.genes} />}
        {summary.clusters.length > 0 && <Big name="clusters" value={summary.clusters.length} />}
        {summary.chambers.length > 0 && <Big name="chambers" value={summary.chambers.length} />}
        {interactions !== null && <Big name="ligand-receptor pairs" value={interactions} />}
      </dl>
      {notes.length > 0 && (
        <ul className="notes">
          {notes.map((note) => (
            <li key={note}>{note}</li>
          ))}
        </ul>
      )}
    </Panel>
  );
}

function Big({ name, value, of }: { name: string; value: number; of?: number }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>
        {number(value)}
        {of !== undefined && of !== value && <span className="muted"> of {number(of)}</span>}
      </dd>
    </div>
  );
}

function LeftOut({ summary }: { summary: Summary }) {
  return (
    <Panel title="What HeartMAP puts out and is not passed on">
      <dl className="facts">
        {summary.leftOut.map(({ what, why }) => (
          <div className="fact" key={what}>
            <dt>{what}</dt>
            <dd>{why}</dd>
          </div>
        ))}
      </dl>
      <p className="muted">
        Another type of analysis may have it: <Link to="/new">new analysis</Link>.
      </p>
    </Panel>
  );
}
