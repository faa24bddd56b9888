import { Link } from "react-router";
import { type AuditRecord, exactly, FILTERS, type Filter } from "../../lib/audit";
import { REASONS } from "../../lib/reasons";
import { Button, Copy, Dialog, State } from "../../ui";

/** What is told of itself, and what says nothing: a field without a value. */
const TOLD = ["time", "decision", "reason"];

/** Everything that one record says. */
export function Details({
  record,
  nameOf,
  narrow,
  onClose,
}: {
  record: AuditRecord;
  nameOf: (principal: string) => string;
  narrow: (to: Partial<Record<Filter, string>>) => string;
  onClose: () => void;
}) {
  const fields = Object.entries(record).filter(([name, value]) => !TOLD.includes(name) && value !== null);
  const meaning = record.reason ? REASONS[record.reason] : undefined;
  return (
    <Dialog title={exactly(record.time)} isOpen onClose={onClose}>
      <div className="page">
        <p className="row">
          {record.decision && <State state={record.decision} />}
          <strong>{record.reason}</strong>
        </p>
        {meaning && <p>{`${meaning.charAt(0).toUpperCase()}${meaning.slice(1)}.`}</p>}
        <dl className="facts">
          {fields.map(([name, value]) => (
            <div key={name} className="fact">
              <dt>{name}</dt>
              <dd>
                <Value name={name} value={value} nameOf={nameOf} narrow={narrow} onClose={onClose} />
              </dd>
            </div>
          ))}
        </dl>
      </div>
      <div className="row">
        <Button onPress={onClose}>Close</Button>
        <Copy text={JSON.stringify(record, null, 2)} label="Copy the record as JSON" />
      </div>
    </Dialog>
  );
}

function Value({
  name,
  value,
  nameOf,
  narrow,
  onClose,
}: {
  name: string;
  value: unknown;
  nameOf: (principal: string) => string;
  narrow: (to: Partial<Record<Filter, string>>) => string;
  onClose: () => void;
}) {
  const text = typeof value === "string" ? value : JSON.stringify(value);
  const known = name === "principal" || name === "subject" ? nameOf(text) : text;
  const told = (
    <>
      <code>{text}</code>
      {known !== text && <span className="muted"> ({known})</span>}
    </>
  );
  if (!FILTERS.some((filter) => filter === name)) return told;
  return (
    <Link to={narrow({ [name]: text })} onClick={onClose} aria-label={`Only ${name} ${text}`}>
      {told}
    </Link>
  );
}
