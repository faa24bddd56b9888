import { useEffect, useRef } from "react";
import { bytes, duration } from "../../lib/format";
import { cancel, left, pause, resume, type Transfer as Sent } from "../../lib/upload";
import { Button, Notice, Problem, Progress } from "../../ui";

const WORDS: Record<Sent["state"], string> = {
  looking: "Looking at the file",
  refused: "Nothing was sent",
  beginning: "Beginning the upload",
  sending: "Uploading",
  paused: "Paused",
  failed: "Stopped",
  finishing: "Putting the parts together",
  sent: "Uploaded",
};

function Figures({ sent }: { sent: Sent }) {
  const rest = left(sent);
  const { size } = sent.file;
  return (
    <span className="muted figures">
      {bytes(sent.done)} of {bytes(size)} ({Math.floor((sent.done / size) * 100)} %)
      {sent.rate !== null && `, ${bytes(Math.round(sent.rate))}/s`}
      {rest !== null && `, ${duration(rest)} left`}
    </span>
  );
}

function Actions({ state }: { state: Sent["state"] }) {
  const goesOn = state === "paused" || state === "failed";
  return (
    <div className="row">
      {state === "sending" && <Button onPress={pause}>Pause</Button>}
      {goesOn && (
        <Button kind="primary" onPress={resume}>
          {state === "paused" ? "Go on" : "Try to go on"}
        </Button>
      )}
      <Button onPress={cancel}>
        {state === "refused" || state === "sent" ? "Choose another file" : "Cancel the upload"}
      </Button>
    </div>
  );
}

/** A file on its way to the server. */
export function Transfer({ sent }: { sent: Sent }) {
  const { file, state, finding } = sent;
  const heading = useRef<HTMLHeadingElement>(null);
  // The place to choose a file has gone: the keyboard goes on here.
  useEffect(() => heading.current?.focus(), []);
  const begun = state !== "looking" && state !== "refused" && state !== "beginning";
  return (
    <div className="transfer">
      <h3 ref={heading} tabIndex={-1}>
        {file.name} <span className="muted">({bytes(file.size)})</span>
      </h3>
      {finding && (
        <Notice tone="bad" live title={finding.sentence}>
          <span className="hint">
            code <code>{finding.code}</code>; nothing of it was sent
          </span>
        </Notice>
      )}
      {!finding && !/\.h5ad$/i.test(file.name) && (
        <Notice tone="warn">
          The name does not end in .h5ad. An AnnData object is needed, as write_h5ad writes it; other HDF5 files are
          rejected.
        </Notice>
      )}
      {begun && state !== "sent" && <Progress value={sent.done / file.size} label={`Upload of ${file.name}`} />}
      <p className="row">
        <strong role="status">{sent.retrying ? "A part did not get through; it is sent again" : WORDS[state]}</strong>
        {begun && state !== "sent" && <Figures sent={sent} />}
      </p>
      {sent.before > 0 && state === "sending" && (
        <p className="muted">It goes on where it was: {bytes(sent.before)} had arrived before.</p>
      )}
      {state === "failed" && <Problem error={sent.error} />}
      {(state === "paused" || state === "failed") && (
        <p className="muted">
          What has arrived is kept for two days: choose the same file again, also after the console or this page was
          closed.
        </p>
      )}
      <Actions state={state} />
    </div>
  );
}
