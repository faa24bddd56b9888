import { bytes, moment } from "../lib/format";
import { Copy, Id, Loading, Panel, Problem } from "../ui";
import { readManifest } from "./manifest";
import { useText } from "./queries";
import { setting } from "./words";

const NAME = "manifest.json";

/** What went in and what ran: enough to check the results or to make them again. */
export function Provenance({ id, hasManifest }: { id: string; hasManifest: boolean }) {
  const { data: text, error, isPending } = useText(id, NAME, hasManifest);
  const manifest = text === undefined ? null : readManifest(text);
  return (
    <Panel title="Provenance" actions={text && <Copy text={text} label="Copy the manifest" />}>
      {!hasManifest && <p>This analysis has no manifest: it was made before the service wrote them.</p>}
      {hasManifest && isPending && <Loading what="the manifest" />}
      {error && <Problem error={error} />}
      {text !== undefined && manifest === null && <pre className="manifest">{text}</pre>}
      {manifest && (
        <div className="columns">
          <dl className="facts">
            <dt>Input, SHA-256</dt>
            <dd>
              <Id id={manifest.reproducible.input.sha256} />
              <span className="muted">{bytes(manifest.reproducible.input.bytes)}</span>
            </dd>
            <dt>Seed</dt>
            <dd>{manifest.reproducible.random_seed ?? "none"}</dd>
            <dt>Configuration</dt>
            <dd>version {manifest.run.config_version}</dd>
            <dt>Attempt</dt>
            <dd>{manifest.run.attempt}</dd>
            <dt>Request</dt>
            <dd>{manifest.run.request_id ? <Id id={manifest.run.request_id} /> : "unknown"}</dd>
            <dt>Ended</dt>
            <dd>{moment(manifest.run.finished_at)}</dd>
          </dl>
          <Values title="Values used" values={manifest.reproducible.config} own={manifest.reproducible.options} />
          <Values title="Versions" values={manifest.reproducible.versions} own={{}} />
        </div>
      )}
    </Panel>
  );
}

function Values({
  title,
  values,
  own,
}: {
  title: string;
  values: Record<string, unknown>;
  own: Record<string, unknown>;
}) {
  return (
    <section>
      <h3>{title}</h3>
      <dl className="facts">
        {Object.entries(values).map(([name, value]) => (
          <div className="fact" key={name}>
            <dt>
              <code>{name}</code>
            </dt>
            <dd>
              {setting(value)}
              {name in own && <span className="muted"> (option of this analysis)</span>}
            </dd>
          </div>
        ))}
      </dl>
    </section>
  );
}
