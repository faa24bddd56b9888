import { useMemo, useState } from "react";
import { Link, useNavigate, useSearchParams } from "react-router";
import {
  type AuditRecord,
  briefly,
  exactly,
  FILTER_LABELS,
  FILTERS,
  type Filter,
  identity,
  isReading,
  narrowed,
  paramsOf,
  type Search,
  type Span,
  searchOf,
  spanOf,
  wordsOf,
} from "../lib/audit";
import { number } from "../lib/format";
import { useCan } from "../lib/session";
import { usePrincipalName } from "../lib/users";
import { Button, CliCommand, DataTable, Empty, Page, Panel, Problem, State } from "../ui";
import { Chart } from "./activity/Chart";
import { Details } from "./activity/Details";
import { SearchForm } from "./activity/SearchForm";
import { type Trail, useTrail } from "./activity/useTrail";
import { NotForYou } from "./NotForYou";
import "./admin.css";
import "./Activity.css";

/** What is in the address beside the search. */
const FOLLOW = "follow";
const READINGS = "readings";

type Narrow = (to: Partial<Record<Filter | "since" | "until", string>>) => string;

export default function Activity() {
  if (!useCan("admin")) return <NotForYou title="Activity" />;
  return <AuditTrail />;
}

function AuditTrail() {
  const [params] = useSearchParams();
  const navigate = useNavigate();
  const [now, setNow] = useState(() => Date.now());
  const address = params.toString();
  const search = useMemo(() => searchOf(new URLSearchParams(address)), [address]);
  const span = useMemo(() => spanOf(search, now), [search, now]);
  const follow = params.has(FOLLOW) && !search.until;
  const readings = params.has(READINGS);
  const trail = useTrail(search, span, follow);
  const shown = useMemo(
    () => (readings ? trail.records : trail.records.filter((record) => !isReading(record))),
    [trail.records, readings],
  );

  /** The page's address for a search, with or without what else is in it. */
  const at = (wanted: Search, view: Partial<Record<typeof FOLLOW | typeof READINGS, boolean>> = {}) => {
    const next = paramsOf(wanted);
    // What has an end is not followed beyond it.
    if ((view[FOLLOW] ?? follow) && !wanted.until) next.set(FOLLOW, "1");
    if (view[READINGS] ?? readings) next.set(READINGS, "1");
    return `?${next}`;
  };
  const narrow: Narrow = (to) => at(narrowed(search, to));
  return (
    <Page
      title="Activity"
      lead="What was asked of the service, by whom, and how it was decided."
      actions={
        <>
          <label className="check">
            <input
              type="checkbox"
              checked={follow}
              disabled={search.until !== ""}
              onChange={(event) => navigate(at(search, { [FOLLOW]: event.target.checked }), { replace: true })}
            />
            Follow
          </label>
          <Button onPress={() => setNow(Date.now())} isDisabled={trail.isReading || search.until !== ""}>
            Read again
          </Button>
        </>
      }
    >
      <SearchForm search={search} span={span} go={(wanted) => navigate(at(wanted))} />
      <Chips search={search} narrow={narrow} />
      {trail.error ? <Problem error={trail.error} /> : null}
      <HowFar trail={trail} span={span} hidden={trail.records.length - shown.length} follow={follow} />
      <label className="check">
        <input
          type="checkbox"
          checked={readings}
          onChange={(event) => navigate(at(search, { [READINGS]: event.target.checked }), { replace: true })}
        />
        Also readings of this trail, which are recorded like everything else
      </label>
      <Panel title="Decisions over time">
        <Chart records={shown} span={trail.read} narrow={narrow} onPick={(to) => navigate(to)} />
      </Panel>
      <Records records={shown} narrow={narrow} isReading={trail.isReading} />
      <CliCommand words={wordsOf(search)} />
    </Page>
  );
}

/** What the search is narrowed by, each of which can be taken away. */
function Chips({ search, narrow }: { search: Search; narrow: Narrow }) {
  const nameOf = usePrincipalName();
  const filters = FILTERS.filter((filter) => search.filters[filter]);
  if (filters.length === 0 && !search.until) return null;
  return (
    <ul className="chips" aria-label="Narrowed by">
      {search.until && (
        <li>
          <Link to={narrow({ since: "24h", until: "" })} aria-label="Take away the time">
            until {exactly(search.until)} <span aria-hidden="true">✕</span>
          </Link>
        </li>
      )}
      {filters.map((filter) => {
        const value = search.filters[filter] ?? "";
        const told = filter === "principal" ? nameOf(value) : value;
        return (
          <li key={filter}>
            <Link to={narrow({ [filter]: "" })} aria-label={`Take away ${FILTER_LABELS[filter]} ${told}`}>
              {FILTER_LABELS[filter]}: <strong>{told}</strong> <span aria-hidden="true">✕</span>
            </Link>
          </li>
        );
      })}
    </ul>
  );
}

/** How much was read, said plainly: what is not read is neither shown nor counted. */
function HowFar({ trail, span, hidden, follow }: { trail: Trail; span: Span; hidden: number; follow: boolean }) {
  const { records, read, more, readMore } = trail;
  const back = exactly(new Date(read.from).toISOString());
  return (
    <div className="row">
      <span role="status">
        {trail.isReading
          ? `Reading … ${number(records.length)} records so far.`
          : more
            ? `Read the newest ${number(records.length)} records, back to ${back}. Older ones are neither shown nor counted.`
            : `Read all ${number(records.length)} records since ${exactly(new Date(span.from).toISOString())}.`}
        {hidden > 0 && ` ${number(hidden)} readings of the trail are left out.`}
        {follow && ` Following: ${number(trail.followed)} came since.`}
      </span>
      {more && !trail.isReading && <Button onPress={readMore}>Read further back</Button>}
    </div>
  );
}

function Records({
  records,
  narrow,
  isReading: reading,
}: {
  records: readonly AuditRecord[];
  narrow: Narrow;
  isReading: boolean;
}) {
  const nameOf = usePrincipalName();
  const [opened, setOpened] = useState<AuditRecord | null>(null);
  const link = (filter: Filter, value: string | null | undefined, told = value) =>
    value ? (
      <Link className="value" to={narrow({ [filter]: value })} aria-label={`Only ${FILTER_LABELS[filter]} ${told}`}>
        {told}
      </Link>
    ) : null;
  return (
    <>
      {records.length === 0 && !reading && <Empty>Nothing in this time is like that.</Empty>}
      {records.length > 0 && (
        <DataTable
          caption="Records"
          rows={records}
          rowKey={identity}
          pageSize={25}
          columns={[
            {
              id: "time",
              header: "When",
              value: (record) => record.time,
              cell: (record) => (
                <Button
                  kind="plain"
                  className="when"
                  onPress={() => setOpened(record)}
                  aria-label={`${briefly(record.time)}, details`}
                >
                  {briefly(record.time)}
                </Button>
              ),
            },
            {
              id: "decision",
              header: "Decision",
              value: (record) => record.decision,
              cell: (record) =>
                record.decision ? (
                  <Link
                    className="value"
                    to={narrow({ decision: record.decision })}
                    aria-label={`Only Decision ${record.decision}`}
                  >
                    <State state={record.decision} />
                  </Link>
                ) : null,
            },
            {
              id: "reason",
              header: "Reason",
              value: (record) => record.reason,
              cell: (record) => link("reason", record.reason),
            },
            {
              id: "what",
              header: "What",
              value: (record) => whatOf(record),
              cell: (record) => (
                <span className="row what">
                  {record.action ? (
                    <>
                      <span>{`${record.stream}:`}</span>
                      {link("action", record.action)}
                      {link("resource", record.resource, record.resource && nameOf(record.resource))}
                    </>
                  ) : (
                    <>
                      {link("method", record.method)}
                      {link("route", record.route)}
                    </>
                  )}
                </span>
              ),
            },
            {
              id: "who",
              header: "Who",
              value: (record) => record.principal && nameOf(record.principal),
              cell: (record) => link("principal", record.principal, record.principal && nameOf(record.principal)),
            },
            {
              id: "from",
              header: "From",
              value: (record) => record.source_ip,
              cell: (record) => link("source_ip", record.source_ip),
            },
          ]}
        />
      )}
      {opened && <Details record={opened} nameOf={nameOf} narrow={narrow} onClose={() => setOpened(null)} />}
    </>
  );
}

function whatOf(record: AuditRecord): string {
  return (record.action ? [record.action, record.resource] : [record.method, record.route]).filter(Boolean).join(" ");
}
