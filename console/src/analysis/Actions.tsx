import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { Link } from "react-router";
import { type Analysis, api, segment } from "../lib/api";
import { roleOf, useCan, useSession } from "../lib/session";
import { type Visibility, wrong } from "../lib/visibility";
import { Button, Confirm, Dialog, Problem, VisibilityField } from "../ui";
import { analysisKey, isLive } from "./queries";

/** What may be done with it, by its state and by whose it is. The API decides anew. */
export function Actions({ analysis, etag }: { analysis: Analysis; etag: string | null }) {
  const { data: session } = useSession();
  const analyst = useCan("analyst");
  const [open, setOpen] = useState<"cancel" | "share" | null>(null);
  const close = () => setOpen(null);
  const own = session?.subject === analysis.owner;
  const inCharge = own || roleOf(session) === "admin";
  return (
    <>
      {analyst && own && <Button onPress={() => setOpen("share")}>Share</Button>}
      {analysis.state === "succeeded" && (
        <Link className="button" to={`/compare?a=${segment(analysis.analysis_id)}`}>
          Compare
        </Link>
      )}
      {analyst && inCharge && isLive(analysis.state) && (
        <Button kind="danger" onPress={() => setOpen("cancel")}>
          Cancel the analysis
        </Button>
      )}
      <Cancel analysis={analysis} isOpen={open === "cancel"} onClose={close} />
      {open === "share" && <Share analysis={analysis} etag={etag} onClose={close} />}
    </>
  );
}

function Cancel({ analysis, isOpen, onClose }: { analysis: Analysis; isOpen: boolean; onClose: () => void }) {
  const queries = useQueryClient();
  return (
    <Confirm
      title="Cancel the analysis?"
      action="Cancel the analysis"
      isOpen={isOpen}
      onClose={onClose}
      onConfirm={async () => {
        await api.delete(`/api/analyses/${segment(analysis.analysis_id)}`);
        await queries.invalidateQueries({ queryKey: analysisKey(analysis.analysis_id) });
      }}
    >
      {analysis.state === "running" ? "It is running: what it has computed is lost. " : ""}
      It still counts for today's quota.
    </Confirm>
  );
}

function Share({ analysis, etag, onClose }: { analysis: Analysis; etag: string | null; onClose: () => void }) {
  const queries = useQueryClient();
  const [visibility, setVisibility] = useState<Visibility>(analysis.visibility);
  const [error, setError] = useState<unknown>(null);
  const [busy, setBusy] = useState(false);
  const mistake = wrong(visibility);
  const save = async () => {
    setBusy(true);
    setError(null);
    try {
      const condition = etag ? { "If-Match": etag } : undefined;
      await api.patch(`/api/analyses/${segment(analysis.analysis_id)}`, { visibility }, condition);
      onClose();
    } catch (failure) {
      setError(failure);
    } finally {
      setBusy(false);
      // Also after a refusal: it may be that another change came before.
      await queries.invalidateQueries({ queryKey: analysisKey(analysis.analysis_id) });
    }
  };
  return (
    <Dialog title="Who may see this analysis" isOpen onClose={onClose}>
      <VisibilityField value={visibility} onChange={setVisibility} />
      <p className="hint">The data set keeps its own visibility. Results hold much of what is in it.</p>
      {error !== null && <Problem error={error} />}
      <div className="row">
        <Button kind="primary" onPress={save} isDisabled={busy || mistake !== null}>
          Save
        </Button>
        <Button onPress={onClose}>Close</Button>
      </div>
    </Dialog>
  );
}
