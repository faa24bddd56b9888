import { type FormEvent, useEffect, useState } from "react";
import {
  DECISIONS,
  FILTER_LABELS,
  type Filter,
  localInput,
  narrowed,
  RANGES,
  type Search,
  type Span,
} from "../../lib/audit";
import { usePeople } from "../../lib/users";
import { Button, Field, Select } from "../../ui";

const CUSTOM = "custom";
const ANY = "any";
const MORE: readonly Filter[] = [
  "principal",
  "action",
  "resource",
  "reason",
  "route",
  "method",
  "source_ip",
  "key_id",
  "request_id",
];

const HINTS: Partial<Record<Filter, string>> = {
  principal: "an e-mail address, a subject, or program:NAME",
  action: "such as results_read",
  resource: "the id of an upload, an analysis, a key or a person",
  reason: "such as not_permitted",
  route: "such as /analyses/{analysis_id}",
  method: "such as POST",
};

/** What to search. A choice counts at once, what is typed when it is searched for. */
export function SearchForm({ search, span, go }: { search: Search; span: Span; go: (search: Search) => void }) {
  const { data: people } = usePeople();
  const [typed, setTyped] = useState(search.filters);
  const isCustom = !RANGES.some((range) => range.value === search.since);
  const [since, setSince] = useState("");
  const [until, setUntil] = useState("");
  const [wrong, setWrong] = useState<string | undefined>();
  const address = JSON.stringify(search);
  // The address can change by a link, or by going back.
  // biome-ignore lint/correctness/useExhaustiveDependencies: the search in one value
  useEffect(() => {
    setTyped(search.filters);
    setSince(localInput(span.from));
    setUntil(search.until ? localInput(span.to) : "");
    setWrong(undefined);
  }, [address]);

  const submit = (event: FormEvent) => {
    event.preventDefault();
    const principal = subjectOf(typed.principal ?? "");
    const next = { ...narrowed(search, { ...typed, principal }) };
    if (isCustom) {
      const [from, to] = [Date.parse(since), until ? Date.parse(until) : Date.now()];
      if (Number.isNaN(from) || Number.isNaN(to) || from >= to) {
        setWrong("Write a beginning that is before the end.");
        return;
      }
      // As it was, where only the minutes of it are shown: a stretch of the chart has seconds.
      if (since !== localInput(span.from)) next.since = new Date(from).toISOString();
      if (until !== (search.until ? localInput(span.to) : "")) next.until = until ? new Date(to).toISOString() : "";
    }
    go(next);
  };
  const subjectOf = (text: string) => {
    const wanted = text.trim().toLowerCase();
    const found = people?.users.find((user) =>
      [user.email, user.username].some((name) => name?.toLowerCase() === wanted),
    );
    return found ? found.subject : text.trim();
  };
  const field = (filter: Filter) => (
    <Field
      key={filter}
      label={FILTER_LABELS[filter]}
      value={typed[filter] ?? ""}
      onChange={(text) => setTyped({ ...typed, [filter]: text })}
      hint={HINTS[filter]}
      autoComplete="off"
    />
  );
  return (
    <search aria-label="The audit trail">
      <form onSubmit={submit} className="search">
        <div className="search-fields">
          <Select
            label="Time"
            value={isCustom ? CUSTOM : search.since}
            onChange={(range: string) =>
              go(
                range === CUSTOM
                  ? { ...search, since: new Date(span.from).toISOString(), until: "" }
                  : { ...search, since: range, until: "" },
              )
            }
            options={[...RANGES, { value: CUSTOM, label: "From … until …" }]}
          />
          <Select
            label="Decision"
            value={search.filters.decision ?? ANY}
            onChange={(decision: string) => go(narrowed(search, { decision: decision === ANY ? "" : decision }))}
            options={[
              { value: ANY, label: "Any" },
              ...DECISIONS.map((decision) => ({ value: decision, label: decision })),
            ]}
          />
          {isCustom && (
            <>
              <Field label="From" type="datetime-local" value={since} onChange={setSince} error={wrong} />
              <Field label="Until" type="datetime-local" value={until} onChange={setUntil} hint="empty: now" />
            </>
          )}
          {field("text")}
          <Button type="submit" kind="primary" className="search-button">
            Search
          </Button>
        </div>
        <details open={MORE.some((filter) => search.filters[filter]) || undefined}>
          <summary>More to search by</summary>
          <div className="search-fields">{MORE.map(field)}</div>
        </details>
      </form>
    </search>
  );
}
