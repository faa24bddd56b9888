import { Link } from "react-router";
import type { Analysis, Upload } from "../lib/api";
import { ago, bytes, duration, moment } from "../lib/format";
import { useSession } from "../lib/session";
import { stageName, whyQueued } from "../lib/states";
import { ownerName, visibleTo } from "../lib/visibility";
import { CliCommand, Id, Notice, Panel, Progress, State } from "../ui";
import { isLive } from "./queries";
import { advice, secondsLeft, setting } from "./words";

/** How it stands: what a person wants to know first, and what to do where it went wrong. */
export function StatusPanel({ analysis, upload }: { analysis: Analysis; upload: Upload | undefined }) {
  const { state } = analysis;
  return (
    <Panel title="State">
      <div className="row" role="status">
        <State state={state} />
        {state === "queued" && <span>{whyQueued(analysis.position)}</span>}
        {state === "running" && (
          <span>
            {stageName(analysis.stage)}, {Math.round(100 * analysis.progress)} %
          </span>
        )}
        {state === "succeeded" && <span>{took(analysis)}</span>}
        {state === "cancelled" && <span>It was cancelled, and has no results.</span>}
      </div>
      {state === "running" && <Progress value={analysis.progress} label="Progress of the analysis" />}
      {state === "failed" && <Failure analysis={analysis} />}
      <dl className="facts">
        <dt>Data set</dt>
        <dd>
          {upload ? (
            <>
              {upload.name ?? "unnamed"}
              {upload.dataset && (
                <span className="muted">
                  , {upload.dataset.cells.toLocaleString()} cells, {upload.dataset.genes.toLocaleString()} genes
                </span>
              )}
            </>
          ) : (
            <>
              <code>{analysis.upload_id}</code> <span className="muted">(gone, or not shared with you)</span>
            </>
          )}
        </dd>
        <dt>Id</dt>
        <dd>
          <Id id={analysis.analysis_id} />
        </dd>
        <Owner analysis={analysis} />
        <dt>Submitted</dt>
        <dd>
          {moment(analysis.created_at)} <span className="muted">({ago(analysis.created_at)})</span>
        </dd>
        {analysis.started_at && (
          <>
            <dt>Started</dt>
            <dd>
              {moment(analysis.started_at)}
              {analysis.attempt > 1 && <span className="muted"> (attempt {analysis.attempt})</span>}
            </dd>
          </>
        )}
        {isLive(state) && <Expected analysis={analysis} />}
        {state !== "succeeded" && <Settings analysis={analysis} />}
      </dl>
      <CliCommand words={["jobs", isLive(state) ? "watch" : "show", analysis.analysis_id]} />
    </Panel>
  );
}

function took({ started_at, finished_at }: Analysis): string {
  if (!started_at || !finished_at) return "It has ended.";
  return `Ended ${ago(finished_at)}, after ${duration((Date.parse(finished_at) - Date.parse(started_at)) / 1000)}.`;
}

function Owner({ analysis }: { analysis: Analysis }) {
  const { data: session } = useSession();
  return (
    <>
      <dt>Owner</dt>
      <dd>{ownerName(analysis.owner, session?.subject)}</dd>
      <dt>Visible to</dt>
      <dd>{visibleTo(analysis.visibility, session?.subject)}</dd>
    </>
  );
}

function Failure({ analysis }: { analysis: Analysis }) {
  const { code, detail } = analysis.error ?? { code: "unknown", detail: null };
  const again = new URLSearchParams({ upload: analysis.upload_id, type: analysis.analysis_type });
  return (
    <Notice tone="bad" title={detail ?? "The analysis failed."}>
      <span>{advice(code)}</span>
      <span className="row">
        <Link to={`/new?${again}`}>Run it again</Link>
      </span>
      <span className="hint">
        code <code>{code}</code>
      </span>
    </Notice>
  );
}

function Expected({ analysis }: { analysis: Analysis }) {
  const { estimate } = analysis;
  if (!estimate) return null;
  const left = secondsLeft(analysis, Date.now());
  return (
    <>
      <dt>Estimate</dt>
      <dd>
        {duration(estimate.seconds)}
        {left !== null && `, about ${duration(left)} of it left`}; {bytes(estimate.memory_bytes)} of memory; $
        {estimate.usd.toPrecision(2)}
      </dd>
    </>
  );
}

function Settings({ analysis }: { analysis: Analysis }) {
  const options = Object.entries(analysis.options);
  return (
    <>
      <dt>Options</dt>
      <dd>
        {options.length === 0
          ? "none of its own"
          : options.map(([name, value], place) => (
              <span key={name}>
                {place > 0 && ", "}
                <code>
                  {name}={setting(value)}
                </code>
              </span>
            ))}
      </dd>
      <dt>Configuration</dt>
      <dd>
        <Link to="/config">version {analysis.config_version}</Link>
        {analysis.config_version === 0 && <span className="muted"> (HeartMAP's own values)</span>}
      </dd>
    </>
  );
}
