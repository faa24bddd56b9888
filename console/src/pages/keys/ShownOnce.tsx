import { moment } from "../../lib/format";
import type { NewKey } from "../../lib/keys";
import { useSession } from "../../lib/session";
import { Button, Copy, Dialog, Notice } from "../../ui";

/** The new key, which nobody can look up later: it goes away by the button alone. */
export function ShownOnce({ made, onClose }: { made: NewKey; onClose: () => void }) {
  const { data: session } = useSession();
  return (
    <Dialog title={`The key of ${made.name}`} isOpen onClose={onClose} isDismissable={false}>
      <Notice tone="warn" title="It is shown this once.">
        The service keeps no copy. Put it where the program alone reads it, and not into a message or a repository.
      </Notice>
      <div className="secret">
        <code>{made.key}</code>
        <Copy text={made.key} label="Copy the key" />
      </div>
      <dl className="facts">
        <dt>Opens</dt>
        <dd>{made.scopes.join(", ")}</dd>
        <dt>Ends</dt>
        <dd>{moment(made.expires_at) || "never"}</dd>
        <dt>Used from</dt>
        <dd>{made.source_ranges.join(", ") || "anywhere"}</dd>
        <dt>Key id</dt>
        <dd>
          <code>{made.key_id}</code>
        </dd>
      </dl>
      <div className="page">
        <h3>How to use it</h3>
        <p>
          {made.signed
            ? "heartmapctl reads it from the file that HEARTMAP_API_KEY_FILE names, and signs each call with the private key that HEARTMAP_SIGNING_KEY_FILE names:"
            : "heartmapctl reads it from the file that HEARTMAP_API_KEY_FILE names:"}
        </p>
        <pre className="lines">
          {[
            "export HEARTMAP_API_KEY_FILE=FILE",
            ...(made.signed ? ["export HEARTMAP_SIGNING_KEY_FILE=signing.pem"] : []),
            `heartmapctl whoami${session && session.environment !== "local" ? ` --environment ${session.environment}` : ""}`,
          ].join("\n")}
        </pre>
        {!made.signed && (
          <p>
            Any other program sends the header <code>Authorization: ApiKey hm_…</code> to{" "}
            <code>{session?.api ?? "the API"}</code>.
          </p>
        )}
      </div>
      <div className="row">
        <Button kind="primary" onPress={onClose}>
          I have stored it
        </Button>
      </div>
    </Dialog>
  );
}
