import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { type Answer, ApiError, api, type Configuration } from "../../lib/api";
import {
  assignments,
  CONFIGURATION,
  changesOf,
  type Draft,
  differences,
  isOutdated,
  type Option,
  type Options,
  parse,
  rangeOf,
  shown,
  type Value,
  VERSIONS,
  valuesOf,
} from "../../lib/configuration";
import { usePrincipalName } from "../../lib/users";
import { Button, CliCommand, Dialog, Field, Notice, Problem } from "../../ui";
import { Differences } from "./Differences";

/**
 * Changes what was touched and nothing else, on the version that was seen. When another one is written meanwhile, what was typed stays
 * and what became different is shown before it is saved on top of that.
 */
export function Editor({ latest, options }: { latest: Answer<Configuration>; options: Options }) {
  const queries = useQueryClient();
  const [draft, setDraft] = useState<Draft>({});
  // The version that the draft was begun on.
  const [begunOn, setBegunOn] = useState<Answer<Configuration> | null>(null);
  const [reviewing, setReviewing] = useState(false);
  const [saved, setSaved] = useState<number | null>(null);
  const base = begunOn ?? latest;
  const outdated = base.body.version !== latest.body.version;
  const values = valuesOf(base.body);
  const { changed, wrong } = changesOf(draft, values, options);

  const type = (field: string, text: string | null) => {
    setBegunOn(base);
    setSaved(null);
    setDraft({ ...draft, [field]: text });
  };
  const leave = (field: string) => {
    const { [field]: _, ...rest } = draft;
    setDraft(rest);
    if (Object.keys(rest).length === 0) setBegunOn(null);
  };
  const startOver = () => {
    setDraft({});
    setBegunOn(null);
  };
  const save = async () => {
    const body = Object.fromEntries(changed.map(({ field, after }) => [field, after]));
    try {
      const answer = await api.post<Configuration>("/api/config", body, base.etag ? { "If-Match": base.etag } : {});
      setSaved(answer.version);
      setReviewing(false);
      startOver();
    } finally {
      await queries.invalidateQueries({ queryKey: CONFIGURATION });
      await queries.invalidateQueries({ queryKey: VERSIONS });
    }
  };

  return (
    <div className="page">
      {saved !== null && <Notice tone="good" live title={`Saved as version ${saved}. New analyses run with it.`} />}
      {outdated && <Meanwhile base={base} latest={latest} goOn={() => setBegunOn(latest)} />}
      <div className="config-fields">
        {Object.entries(options).map(([field, option]) => (
          <OptionField
            key={field}
            field={field}
            option={option}
            value={values[field]}
            text={draft[field]}
            onType={(text) => type(field, text)}
            onLeave={() => leave(field)}
          />
        ))}
      </div>
      <div className="row">
        <Button
          kind="primary"
          isDisabled={changed.length === 0 || wrong.length > 0 || outdated}
          onPress={() => setReviewing(true)}
        >
          {changed.length === 1 ? "Review the change" : `Review ${changed.length || "the"} changes`}
        </Button>
        {Object.keys(draft).length > 0 && <Button onPress={startOver}>Undo all</Button>}
        <span className="muted" role="status">
          {wrong.length > 0 && `To correct: ${wrong.join(", ")}.`}
        </span>
      </div>
      <Review
        isOpen={reviewing}
        onClose={() => setReviewing(false)}
        base={base}
        latest={latest}
        changed={changed}
        goOn={() => setBegunOn(latest)}
        save={save}
      />
    </div>
  );
}

function OptionField({
  field,
  option,
  value,
  text,
  onType,
  onLeave,
}: {
  field: string;
  option: Option;
  value: Value | undefined;
  /** What was typed; undefined where it was not touched. */
  text: string | null | undefined;
  onType: (text: string | null) => void;
  onLeave: () => void;
}) {
  const touched = text !== undefined;
  const parsed = touched ? parse(text, option) : null;
  const all = touched ? text === null : value === null;
  const typed = touched ? (text ?? "") : value === null || value === undefined ? "" : String(value);
  return (
    <div className="config-field">
      <Field
        label={field}
        value={typed}
        onChange={onType}
        isDisabled={all}
        inputMode={option.type === "integer" ? "numeric" : "decimal"}
        hint={`${option.description} ${capital(rangeOf(option))}. HeartMAP’s own: ${shown(option.default)}.`}
        error={parsed && "wrong" in parsed ? parsed.wrong : undefined}
      />
      {option.nullable && (
        <label className="check">
          <input
            type="checkbox"
            checked={all}
            aria-label={`All, no limit: ${field}`}
            onChange={(event) => onType(event.target.checked ? null : typedBefore(value, option))}
          />
          All
        </label>
      )}
      {touched && (
        <div className="row config-was">
          <span>Now: {shown(value)}</span>
          <Button kind="plain" onPress={onLeave} aria-label={`Undo the change of ${field}`}>
            Undo
          </Button>
        </div>
      )}
    </div>
  );
}

function typedBefore(value: Value | undefined, option: Option): string {
  return String(value ?? option.minimum ?? "");
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function Meanwhile({
  base,
  latest,
  goOn,
}: {
  base: Answer<Configuration>;
  latest: Answer<Configuration>;
  goOn: () => void;
}) {
  const nameOf = usePrincipalName();
  const { version, changed_by } = latest.body;
  const different = differences(valuesOf(base.body), valuesOf(latest.body));
  return (
    <Notice
      tone="warn"
      live
      title={`The configuration became version ${version} while you were editing version ${base.body.version}, by ${nameOf(changed_by ?? "nobody")}.`}
    >
      {different.length > 0 ? (
        <Differences of={different} caption={`What version ${version} made different`} />
      ) : (
        <span>Its values are the same.</span>
      )}
      <span>What you typed is still here, and nothing of it was saved.</span>
      <div className="row">
        <Button onPress={goOn}>Go on with version {version}</Button>
      </div>
    </Notice>
  );
}

function Review({
  isOpen,
  onClose,
  base,
  latest,
  changed,
  goOn,
  save,
}: {
  isOpen: boolean;
  onClose: () => void;
  base: Answer<Configuration>;
  latest: Answer<Configuration>;
  changed: ReturnType<typeof changesOf>["changed"];
  goOn: () => void;
  save: () => Promise<void>;
}) {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const outdated = base.body.version !== latest.body.version;
  const close = () => {
    setError(null);
    onClose();
  };
  const confirm = async () => {
    setBusy(true);
    setError(null);
    try {
      await save();
    } catch (failure) {
      setError(failure);
    } finally {
      setBusy(false);
    }
  };
  // Whoever changed it meanwhile is told below with what they changed.
  const told = error instanceof ApiError && isOutdated(error.code) && outdated;
  return (
    <Dialog title="What will change" isOpen={isOpen} onClose={close}>
      <p>
        Version {base.body.version} becomes version {base.body.version + 1}. Analyses that are queued or running keep
        the values that they were begun with.
      </p>
      {changed.length > 0 ? (
        <Differences of={changed} caption="What will change" />
      ) : (
        <p>Nothing is left to change: the values are these already.</p>
      )}
      {outdated && (
        <Meanwhile
          base={base}
          latest={latest}
          goOn={() => {
            setError(null);
            goOn();
          }}
        />
      )}
      {error !== null && !told && <Problem error={error} />}
      <CliCommand words={["config", "set", ...assignments(changed)]} />
      <div className="row">
        <Button kind="primary" onPress={confirm} isDisabled={busy || outdated || changed.length === 0}>
          Save
        </Button>
        <Button onPress={close}>Go on editing</Button>
      </div>
    </Dialog>
  );
}
