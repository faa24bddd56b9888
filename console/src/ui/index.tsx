/** The parts that pages are made of. Behaviour and accessibility of the difficult ones are react-aria-components'. */
import { type ReactNode, useEffect, useId, useRef, useState } from "react";
import {
  Button as AriaButton,
  type ButtonProps as AriaButtonProps,
  Dialog as AriaDialog,
  TextArea as AriaTextArea,
  FieldError,
  Heading,
  Input,
  Label,
  Modal,
  ModalOverlay,
  Text,
  TextField,
  type TextFieldProps,
} from "react-aria-components";
import { ApiError } from "../lib/api";
import { useCommand } from "../lib/session";

export { Tab, TabList, TabPanel, Tabs } from "react-aria-components";
export { DataTable, type TableColumn } from "./DataTable";
export { VisibilityField } from "./Visibility";

/** A page: its one heading, what can be done there, and its parts. Sets the document's title. */
export function Page({
  title,
  actions,
  lead,
  children,
}: {
  title: string;
  actions?: ReactNode;
  lead?: ReactNode;
  children: ReactNode;
}) {
  useEffect(() => {
    document.title = `${title} · HeartMAP`;
  }, [title]);
  return (
    <div className="page">
      <div className="page-head">
        <h1>{title}</h1>
        {actions && <div className="row">{actions}</div>}
      </div>
      {lead && <p className="muted">{lead}</p>}
      {children}
    </div>
  );
}

export function Panel({ title, actions, children }: { title?: string; actions?: ReactNode; children: ReactNode }) {
  const id = useId();
  return (
    <section className="panel" aria-labelledby={title ? id : undefined}>
      {title && (
        <div className="panel-head">
          <h2 id={id}>{title}</h2>
          {actions && <div className="row">{actions}</div>}
        </div>
      )}
      {children}
    </section>
  );
}

export type ButtonProps = AriaButtonProps & { kind?: "normal" | "primary" | "danger" | "plain" };

export function Button({ kind = "normal", className, ...rest }: ButtonProps) {
  return (
    <AriaButton {...rest} className={`button ${typeof className === "string" ? className : ""}`} data-kind={kind} />
  );
}

export function Field({
  label,
  hint,
  error,
  type,
  ...rest
}: TextFieldProps & { label: string; hint?: string; error?: string }) {
  return (
    <TextField {...rest} type={type} isInvalid={rest.isInvalid ?? Boolean(error)} className="field">
      <Label>{label}</Label>
      <Input className="input" />
      {hint && (
        <Text slot="description" className="hint">
          {hint}
        </Text>
      )}
      <FieldError className="wrong">{error}</FieldError>
    </TextField>
  );
}

/** A field of several lines. */
export function TextArea({
  label,
  hint,
  error,
  rows = 3,
  ...rest
}: TextFieldProps & { label: string; hint?: string; error?: string; rows?: number }) {
  return (
    <TextField {...rest} isInvalid={rest.isInvalid ?? Boolean(error)} className="field">
      <Label>{label}</Label>
      <AriaTextArea className="input" rows={rows} />
      {hint && (
        <Text slot="description" className="hint">
          {hint}
        </Text>
      )}
      <FieldError className="wrong">{error}</FieldError>
    </TextField>
  );
}

/** The browser's own list: it works with every keyboard, reader and phone. */
export function Select<T extends string>({
  label,
  value,
  options,
  onChange,
  hint,
  hideLabel = false,
  isDisabled = false,
}: {
  label: string;
  value: T;
  options: readonly { value: T; label: string }[];
  onChange: (value: T) => void;
  hint?: string;
  hideLabel?: boolean;
  isDisabled?: boolean;
}) {
  const id = useId();
  return (
    <div className="field">
      <label htmlFor={id} className={hideLabel ? "visually-hidden" : undefined}>
        {label}
      </label>
      <select
        id={id}
        className="input"
        value={value}
        disabled={isDisabled}
        aria-describedby={hint ? `${id}-hint` : undefined}
        onChange={(event) => onChange(event.target.value as T)}
      >
        {options.map((option) => (
          <option key={option.value} value={option.value}>
            {option.label}
          </option>
        ))}
      </select>
      {hint && (
        <span id={`${id}-hint`} className="hint">
          {hint}
        </span>
      )}
    </div>
  );
}

/** Escape or a click beside it closes it, unless it holds something that would be missed. */
export function Dialog({
  title,
  isOpen,
  onClose,
  isDismissable = true,
  children,
}: {
  title: string;
  isOpen: boolean;
  onClose: () => void;
  isDismissable?: boolean;
  children: ReactNode;
}) {
  return (
    <ModalOverlay
      className="overlay"
      isOpen={isOpen}
      onOpenChange={(open) => !open && onClose()}
      isDismissable={isDismissable}
      isKeyboardDismissDisabled={!isDismissable}
    >
      <Modal className="dialog">
        <AriaDialog>
          <Heading slot="title" level={2}>
            {title}
          </Heading>
          {children}
        </AriaDialog>
      </Modal>
    </ModalOverlay>
  );
}

/** Asks before what cannot be undone. `onConfirm` may fail: its error is shown, and the question stays. */
export function Confirm({
  title,
  children,
  action,
  isOpen,
  onClose,
  onConfirm,
}: {
  title: string;
  children: ReactNode;
  action: string;
  isOpen: boolean;
  onClose: () => void;
  onConfirm: () => Promise<unknown>;
}) {
  const [error, setError] = useState<unknown>(null);
  const [busy, setBusy] = useState(false);
  const confirm = async () => {
    setBusy(true);
    setError(null);
    try {
      await onConfirm();
      onClose();
    } catch (failure) {
      setError(failure);
    } finally {
      setBusy(false);
    }
  };
  return (
    <Dialog title={title} isOpen={isOpen} onClose={onClose}>
      <div>{children}</div>
      {error !== null && <Problem error={error} />}
      <div className="row">
        <Button kind="danger" onPress={confirm} isPending={busy}>
          {action}
        </Button>
        <Button onPress={onClose}>Keep it</Button>
      </div>
    </Dialog>
  );
}

export type Tone = "good" | "busy" | "warn" | "bad" | "quiet";

const STATES: Record<string, { tone: Tone; sign: string }> = {
  queued: { tone: "quiet", sign: "○" },
  pending: { tone: "quiet", sign: "○" },
  running: { tone: "busy", sign: "◔" },
  checking: { tone: "busy", sign: "◔" },
  succeeded: { tone: "good", sign: "✓" },
  accepted: { tone: "good", sign: "✓" },
  active: { tone: "good", sign: "✓" },
  allow: { tone: "good", sign: "✓" },
  pass: { tone: "good", sign: "✓" },
  ending: { tone: "warn", sign: "!" },
  warn: { tone: "warn", sign: "!" },
  failed: { tone: "bad", sign: "✕" },
  rejected: { tone: "bad", sign: "✕" },
  fail: { tone: "bad", sign: "✕" },
  error: { tone: "bad", sign: "✕" },
  deny: { tone: "bad", sign: "✕" },
  unauthenticated: { tone: "bad", sign: "✕" },
  cancelled: { tone: "quiet", sign: "–" },
  revoked: { tone: "quiet", sign: "–" },
  ended: { tone: "quiet", sign: "–" },
  disabled: { tone: "quiet", sign: "–" },
};

/** The word of a state with its sign; an unknown one is shown as it is. */
export function State({ state, label }: { state: string; label?: string }) {
  const { tone, sign } = STATES[state] ?? { tone: "quiet", sign: "•" };
  return (
    <span className="badge" data-tone={tone}>
      <span aria-hidden="true">{sign}</span>
      {label ?? state}
    </span>
  );
}

export function Notice({
  tone = "quiet",
  title,
  children,
  live = false,
}: {
  tone?: Tone;
  title?: string;
  children?: ReactNode;
  live?: boolean;
}) {
  return (
    <div className="notice" data-tone={tone} role={live ? (tone === "bad" ? "alert" : "status") : undefined}>
      {title && <strong>{title}</strong>}
      {children}
    </div>
  );
}

/** What was refused or failed, with what finds it again and what to do. */
export function Problem({ error }: { error: unknown }) {
  if (!(error instanceof ApiError)) {
    return (
      <Notice tone="bad" live title="The console failed. Reload the page; if it stays, start the console again." />
    );
  }
  const { requestId, retryAfter, errors, reason } = error.more;
  const tooOld = reason === "sign_in_too_old";
  return (
    <Notice
      tone="bad"
      live
      title={tooOld ? "This takes a sign-in of the last 15 minutes. Sign in again, then repeat it." : error.detail}
    >
      {errors && errors.length > 1 && (
        <ul>
          {errors.map((each) => (
            <li key={each.field}>
              <code>{each.field}</code> {each.rule}
            </li>
          ))}
        </ul>
      )}
      {retryAfter && <span>Try again in {retryAfter} s.</span>}
      <span className="hint">
        code <code>{error.code}</code>
        {requestId && (
          <>
            , request id <code>{requestId}</code>
          </>
        )}
      </span>
    </Notice>
  );
}

export function Empty({ children }: { children: ReactNode }) {
  return <div className="empty">{children}</div>;
}

export function Loading({ what }: { what: string }) {
  return (
    <p role="status" className="muted">
      Loading {what} …
    </p>
  );
}

/** Copies a text, and says so. `label` begins with what is `shown`, so that both can be spoken to. */
export function Copy({ text, label = "Copy", shown = "Copy" }: { text: string; label?: string; shown?: string }) {
  const [copied, setCopied] = useState(false);
  const timer = useRef<number>(undefined);
  useEffect(() => () => window.clearTimeout(timer.current), []);
  const copy = async () => {
    await navigator.clipboard.writeText(text);
    setCopied(true);
    timer.current = window.setTimeout(() => setCopied(false), 2_000);
  };
  return (
    <Button kind="plain" onPress={copy} aria-label={copied ? "Copied" : label}>
      <span aria-live="polite">{copied ? "Copied" : shown}</span>
    </Button>
  );
}

/** An id, short on the screen and whole in the clipboard. */
export function Id({ id }: { id: string }) {
  return (
    <span className="row">
      <code>{id}</code>
      <Copy text={id} label={`Copy the id ${id}`} />
    </span>
  );
}

/** The command that does in a terminal what the page shows or does. */
export function CliCommand({ words }: { words: readonly string[] }) {
  const command = useCommand();
  const line = command(...words);
  return (
    <div className="command">
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls has to be reached by the keyboard (WCAG 2.1.1) */}
      <section tabIndex={0} aria-label={`The same in a terminal: ${line}`}>
        <code>{line}</code>
      </section>
      <Copy text={line} label="Copy the command" />
    </div>
  );
}

/** 0 to 1, or null where nobody knows how far it is. */
export function Progress({ value, label }: { value: number | null; label: string }) {
  return <progress className="meter" aria-label={label} max={1} value={value ?? undefined} />;
}
