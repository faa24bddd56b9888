import { type FormEvent, useState } from "react";
import { api, segment } from "../../lib/api";
import { DEFAULT_OVERLAP, type KeyRecord, MOST_OVERLAP, type NewKey, publicKey, wrongNumber } from "../../lib/keys";
import { Button, CliCommand, Dialog, Field, Problem } from "../../ui";
import { SigningKey } from "./SigningKey";

/** Asks for the key that takes another one's place. */
export function Rotate({
  of,
  onClose,
  onMade,
}: {
  of: KeyRecord;
  onClose: () => void;
  onMade: (key: NewKey) => Promise<void>;
}) {
  const [hours, setHours] = useState(String(DEFAULT_OVERLAP));
  const [signing, setSigning] = useState("");
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const key = signing.trim() ? publicKey(signing) : null;
  const wrongKey = key && "wrong" in key ? key.wrong : undefined;
  const wrongHours = wrongNumber(hours, 0, MOST_OVERLAP);
  const rotate = async (event: FormEvent) => {
    event.preventDefault();
    if (wrongHours || wrongKey) return;
    setBusy(true);
    setError(null);
    try {
      const body = { overlap_hours: Number(hours), ...(key && "key" in key && { signing_key: key.key }) };
      await onMade(await api.post<NewKey>(`/api/keys/${segment(of.key_id)}/rotate`, body));
    } catch (failure) {
      setError(failure);
    } finally {
      setBusy(false);
    }
  };
  return (
    <Dialog title={`Rotate the key of ${of.name}`} isOpen onClose={onClose}>
      <form onSubmit={rotate} className="page" noValidate>
        <p>
          Makes a key of the same name, scopes, addresses and lifetime. <code>{of.key_id}</code> goes on for the hours
          of the overlap: give the new one to the program within that time. A key that may be in the wrong hands is
          revoked, not rotated.
        </p>
        <Field
          label="Hours for which the old key goes on"
          value={hours}
          onChange={setHours}
          inputMode="numeric"
          hint={`0 to ${MOST_OVERLAP}.`}
          error={wrongHours}
        />
        {of.signed && (
          <SigningKey
            value={signing}
            onChange={setSigning}
            error={wrongKey}
            hint="Empty: the new key has the old one’s signing key."
          />
        )}
        {error !== null && <Problem error={error} />}
        <CliCommand words={["keys", "rotate", of.key_id, "--overlap-hours", hours.trim() || String(DEFAULT_OVERLAP)]} />
        <div className="row">
          <Button type="submit" kind="primary" isDisabled={busy}>
            Rotate
          </Button>
          <Button onPress={onClose}>Cancel</Button>
        </div>
      </form>
    </Dialog>
  );
}
