import { useSearchParams } from "react-router";
import { useAnalysis, useResults } from "../analysis/queries";
import "../analysis/analysis.css";
import { Choose } from "../compare/Choose";
import "../compare/compare.css";
import { MarkersPanel } from "../compare/MarkersPanel";
import { OverlapPanel } from "../compare/OverlapPanel";
import { Facts, FiguresOfBoth, type Side, Sizes } from "../compare/SideBySide";
import { useUpload } from "../lib/uploads";
import { CliCommand, Empty, Loading, Notice, Page, Problem } from "../ui";

/** Two analyses beside each other. */
export default function Compare() {
  const [params] = useSearchParams();
  const [a, b] = [params.get("a") ?? "", params.get("b") ?? ""];
  return (
    <Page title="Compare two analyses">
      <Choose a={a} b={b} />
      {a === "" || b === "" ? (
        <Empty>Choose two analyses that have succeeded.</Empty>
      ) : a === b ? (
        <Empty>These are the same analysis. Choose another one for A or B.</Empty>
      ) : (
        <Both key={`${a} ${b}`} a={a} b={b} />
      )}
    </Page>
  );
}

function useSide(id: string): { side: Side | null; state: string | undefined; error: Error | null } {
  const analysis = useAnalysis(id);
  const state = analysis.data?.body.state;
  const results = useResults(id, state === "succeeded");
  const upload = useUpload(analysis.data?.body.upload_id);
  const ready = analysis.data && results.data && !upload.isPending;
  return {
    side: ready ? { analysis: analysis.data.body, results: results.data, upload: upload.data?.body } : null,
    state,
    error: analysis.error ?? results.error,
  };
}

function Both({ a, b }: { a: string; b: string }) {
  const [left, right] = [useSide(a), useSide(b)];
  const error = left.error ?? right.error;
  if (error) return <Problem error={error} />;
  const unfinished = [left, right].some(({ state }) => state !== undefined && state !== "succeeded");
  if (unfinished) return <Notice tone="warn" title="Only analyses that have succeeded can be compared." />;
  if (!left.side || !right.side) return <Loading what="both analyses" />;
  const sides = [left.side, right.side];
  const both = (name: string) => sides.every(({ results }) => results.files.some((file) => file.name === name));
  const same = left.side.analysis.upload_id === right.side.analysis.upload_id;
  return (
    <>
      <Facts a={left.side} b={right.side} />
      {same && both("cells.csv") && <OverlapPanel a={a} b={b} />}
      <Sizes a={left.side} b={right.side} />
      {both("marker_genes.csv") && <MarkersPanel a={a} b={b} />}
      <FiguresOfBoth a={left.side} b={right.side} />
      <CliCommand words={["results", a, "--output", "a"]} />
      <CliCommand words={["results", b, "--output", "b"]} />
    </>
  );
}
