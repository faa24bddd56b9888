import { type FormEvent, useState } from "react";
import { api } from "../../lib/api";
import { focusWrong } from "../../lib/forms";
import {
  DEFAULT_DAYS,
  MOST_DAYS,
  type NewKey,
  needsSigning,
  publicKey,
  rangesIn,
  SCOPES,
  wrongName,
  wrongNumber,
  wrongRanges,
} from "../../lib/keys";
import { Button, CliCommand, Dialog, Field, Notice, Problem, TextArea } from "../../ui";
import { SigningKey } from "./SigningKey";

/** Asks for a new key. What is typed stays until the key is made. */
export function Create({ onClose, onMade }: { onClose: () => void; onMade: (key: NewKey) => Promise<void> }) {
  const [name, setName] = useState("");
  const [scopes, setScopes] = useState<readonly string[]>([]);
  const [days, setDays] = useState(String(DEFAULT_DAYS));
  const [ranges, setRanges] = useState("");
  const [signing, setSigning] = useState("");
  const [tried, setTried] = useState(false);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);

  const signed = signing.trim() !== "";
  const key = signed ? publicKey(signing) : null;
  const wrong = {
    name: wrongName(name),
    scopes: scopes.length === 0 ? "Choose at least one." : undefined,
    days: wrongNumber(days, 1, MOST_DAYS),
    ranges: wrongRanges(ranges),
    signing: wrongSigning(key, scopes),
  };
  const shownWrong: Partial<typeof wrong> = tried ? wrong : {};

  const create = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    setTried(true);
    if (Object.values(wrong).some(Boolean)) {
      focusWrong(event.currentTarget);
      return;
    }
    setBusy(true);
    setError(null);
    try {
      const body = {
        name,
        scopes: [...scopes].sort(),
        expires_in_days: Number(days),
        ...(rangesIn(ranges).length > 0 && { source_ranges: rangesIn(ranges) }),
        ...(key && "key" in key && { signing_key: key.key }),
      };
      // No mutation of the query library: it would keep the answer, and with it the key.
      await onMade(await api.post<NewKey>("/api/keys", body));
    } catch (failure) {
      setError(failure);
    } finally {
      setBusy(false);
    }
  };

  return (
    <Dialog title="Create a key" isOpen onClose={onClose}>
      <form onSubmit={create} className="page" noValidate>
        <Field
          label="Name of the program"
          value={name}
          onChange={setName}
          autoComplete="off"
          isRequired
          validationBehavior="aria"
          hint="Lower-case letters, digits and hyphens. What one key of a name uploads and computes is there for the others."
          error={shownWrong.name}
        />
        <Scopes chosen={scopes} onChange={setScopes} error={shownWrong.scopes} />
        <Field
          label="Days until it ends"
          value={days}
          onChange={setDays}
          inputMode="numeric"
          hint={`1 to ${MOST_DAYS}. A key always ends.`}
          error={shownWrong.days}
        />
        <TextArea
          label="Addresses that it may be used from (optional)"
          value={ranges}
          onChange={setRanges}
          rows={2}
          hint="Ranges such as 192.0.2.0/24 or 2001:db8::/48, one a line. Empty: anywhere."
          error={shownWrong.ranges}
        />
        <SigningKey
          value={signing}
          onChange={setSigning}
          error={shownWrong.signing}
          hint="With it only calls are taken that are signed with its private half."
        />
        {error !== null && <Problem error={error} />}
        <CliCommand words={words(name, scopes, days, rangesIn(ranges), signed)} />
        <Notice title="The key is shown once. Have the place ready where the program reads it." />
        <div className="row">
          <Button type="submit" kind="primary" isDisabled={busy}>
            Create the key
          </Button>
          <Button onPress={onClose}>Cancel</Button>
        </div>
      </form>
    </Dialog>
  );
}

function wrongSigning(key: ReturnType<typeof publicKey> | null, scopes: readonly string[]): string | undefined {
  if (key === null)
    return needsSigning(scopes) ? "config:write takes signed calls only: give a signing key." : undefined;
  return "wrong" in key ? key.wrong : undefined;
}

function words(name: string, scopes: readonly string[], days: string, ranges: string[], signed: boolean): string[] {
  return [
    ...["keys", "create", name || "NAME"],
    ...(scopes.length > 0 ? scopes : ["SCOPE"]).flatMap((scope) => ["--scope", scope]),
    ...(days === String(DEFAULT_DAYS) ? [] : ["--expires-in-days", days]),
    ...ranges.flatMap((range) => ["--from", range]),
    ...(signed ? ["--sign-with", "signing.pem"] : []),
  ];
}

function Scopes({
  chosen,
  onChange,
  error,
}: {
  chosen: readonly string[];
  onChange: (scopes: readonly string[]) => void;
  error?: string;
}) {
  return (
    <fieldset className="scopes" data-wrong={Boolean(error)} aria-describedby={error ? "scopes-wrong" : undefined}>
      <legend>What it opens</legend>
      {SCOPES.map(({ scope, opens }) => (
        <label key={scope} className="check">
          <input
            type="checkbox"
            checked={chosen.includes(scope)}
            onChange={(event) =>
              onChange(event.target.checked ? [...chosen, scope] : chosen.filter((each) => each !== scope))
            }
          />
          <span>
            <code>{scope}</code> <span className="muted">{opens}</span>
          </span>
        </label>
      ))}
      {error && (
        <span id="scopes-wrong" className="wrong">
          {error}
        </span>
      )}
    </fieldset>
  );
}
