import type { Upload } from "../../lib/api";
import { bytes, number } from "../../lib/format";
import { Id, Notice, State } from "../../ui";

/** What the service found in a data set, or why it was rejected. */
export function Facts({ upload }: { upload: Upload }) {
  const { dataset } = upload;
  return (
    <dl className="facts">
      <dt>State</dt>
      <dd>
        <State state={upload.state} />
      </dd>
      <dt>Id</dt>
      <dd>
        <Id id={upload.upload_id} />
      </dd>
      {upload.source && (
        <>
          <dt>Copied from</dt>
          <dd>{upload.source}</dd>
        </>
      )}
      {upload.bytes != null && (
        <>
          <dt>Size</dt>
          <dd>{bytes(upload.bytes)}</dd>
        </>
      )}
      {dataset && (
        <>
          <dt>Cells</dt>
          <dd>{number(dataset.cells)}</dd>
          <dt>Genes</dt>
          <dd>{number(dataset.genes)}</dd>
        </>
      )}
      {dataset?.sparse !== undefined && (
        <>
          <dt>Matrix</dt>
          <dd>
            {dataset.sparse ? "sparse" : "dense"}
            {dataset.values !== undefined && `, ${number(dataset.values)} values`}
            {dataset.counts !== undefined && (dataset.counts ? ", whole counts" : ", not all whole numbers")}
          </dd>
        </>
      )}
    </dl>
  );
}

/** How the service's own look at a data set goes. */
export function Check({ upload }: { upload: Upload }) {
  if (upload.state === "rejected") {
    return (
      <Notice tone="bad" live title={upload.detail ?? "The data set was rejected."}>
        <span className="hint">
          code <code>{upload.code ?? "rejected"}</code>. Change the file as it says, and choose it again.
        </span>
      </Notice>
    );
  }
  return (
    <>
      <p role="status" className="muted">
        {upload.state === "accepted"
          ? "Checked: it can be analysed."
          : upload.state === "checking"
            ? "The service is checking the data set …"
            : "It waits for the service to check it. From none, a worker takes some minutes to start."}
      </p>
      <Facts upload={upload} />
    </>
  );
}
