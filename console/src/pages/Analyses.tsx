import { useInfiniteQuery, useMutation, useQueries, useQueryClient } from "@tanstack/react-query";
import { useMemo, useState } from "react";
import { Link } from "react-router";
import { type Analysis, api, type Overview, segment } from "../lib/api";
import { ago, moment } from "../lib/format";
import { roleOf, useCan, useSession } from "../lib/session";
import { stageName, typeName, whyQueued } from "../lib/states";
import { ownerName, visibleTo } from "../lib/visibility";
import {
  Button,
  CliCommand,
  Confirm,
  DataTable,
  Empty,
  Loading,
  Page,
  Problem,
  Progress,
  Select,
  State,
  type TableColumn,
} from "../ui";
import "./analyses.css";

const PAGE = 50;
const LIVE_MS = 2_000;
const QUIET_MS = 30_000;
/** Positions are asked for one by one; nobody waits for those far behind. */
const MOST_POSITIONS = 10;

interface Listed {
  analyses: Overview[];
  next_cursor?: string;
}

type Filter = "all" | Overview["state"];
const FILTERS: { value: Filter; label: string }[] = [
  { value: "all", label: "All states" },
  { value: "queued", label: "Queued" },
  { value: "running", label: "Running" },
  { value: "succeeded", label: "Succeeded" },
  { value: "failed", label: "Failed" },
  { value: "cancelled", label: "Cancelled" },
];

function isLive(analysis: Overview): boolean {
  return analysis.state === "queued" || analysis.state === "running";
}

function useAnalyses() {
  return useInfiniteQuery({
    queryKey: ["analyses"],
    queryFn: ({ pageParam, signal }) =>
      api.get<Listed>(`/api/analyses?limit=${PAGE}${pageParam ? `&cursor=${segment(pageParam)}` : ""}`, signal),
    initialPageParam: "",
    getNextPageParam: (page) => page.next_cursor,
    // Each page is asked for again: the more there are, the rarer.
    refetchInterval: (query) => {
      const pages = query.state.data?.pages ?? [];
      return pages.some((page) => page.analyses.some(isLive)) ? LIVE_MS * pages.length : QUIET_MS;
    },
  });
}

/** How many are before each of those that wait. */
function usePositions(analyses: readonly Overview[]): Map<string, number | undefined> {
  const queued = analyses.filter((analysis) => analysis.state === "queued").slice(-MOST_POSITIONS);
  const answers = useQueries({
    queries: queued.map(({ analysis_id }) => ({
      queryKey: ["analysis", analysis_id, "position"],
      queryFn: ({ signal }: { signal: AbortSignal }) =>
        api.get<Analysis>(`/api/analyses/${segment(analysis_id)}`, signal),
      refetchInterval: 2 * LIVE_MS,
    })),
  });
  return new Map(
    answers.flatMap(({ data }) =>
      data && data.state === "queued" ? [[data.analysis_id, data.position] as const] : [],
    ),
  );
}

function StateCell({ analysis, positions }: { analysis: Overview; positions: Map<string, number | undefined> }) {
  return (
    <div className="state-cell">
      <State state={analysis.state} />
      {analysis.state === "running" && (
        <>
          <span className="hint">
            {stageName(analysis.stage)}, {Math.round(analysis.progress * 100)} %
          </span>
          <Progress value={analysis.progress} label={`Progress of ${typeName(analysis.analysis_type)}`} />
        </>
      )}
      {analysis.state === "queued" && positions.has(analysis.analysis_id) && (
        <span className="hint">{whyQueued(positions.get(analysis.analysis_id))}</span>
      )}
      {analysis.error && <span className="hint">{analysis.error.detail}</span>}
    </div>
  );
}

function Cancel({ analysis, onClose }: { analysis: Overview; onClose: () => void }) {
  const queries = useQueryClient();
  const cancel = useMutation({
    mutationFn: () => api.delete(`/api/analyses/${segment(analysis.analysis_id)}`),
    onSettled: () => queries.invalidateQueries({ queryKey: ["analyses"] }),
  });
  return (
    <Confirm
      title="Cancel this analysis?"
      action="Cancel the analysis"
      isOpen
      onClose={onClose}
      onConfirm={() => cancel.mutateAsync()}
    >
      {typeName(analysis.analysis_type)} <code>{analysis.analysis_id}</code>, begun {ago(analysis.created_at)}. What it
      has computed is lost, and it counts for your day.
    </Confirm>
  );
}

/** Two that succeeded, to be laid side by side. */
function useComparison(analyses: readonly Overview[]) {
  const [chosen, setChosen] = useState<string[]>([]);
  const present = chosen.filter((id) => analyses.some((analysis) => analysis.analysis_id === id));
  return {
    chosen: present,
    // A third takes the place of the first.
    toggle: (id: string) =>
      setChosen(present.includes(id) ? present.filter((other) => other !== id) : [...present.slice(-1), id]),
    clear: () => setChosen([]),
  };
}

export function Analyses() {
  const list = useAnalyses();
  const { data: session } = useSession();
  const analyst = useCan("analyst");
  const admin = useCan("admin");
  const [filter, setFilter] = useState<Filter>("all");
  const [cancelling, setCancelling] = useState<Overview | null>(null);
  const all = useMemo(() => list.data?.pages.flatMap((page) => page.analyses) ?? [], [list.data]);
  const shown = useMemo(() => all.filter((each) => filter === "all" || each.state === filter), [all, filter]);
  const positions = usePositions(all);
  const comparison = useComparison(all);
  const subject = session?.subject;

  const columns: TableColumn<Overview>[] = [
    {
      id: "type",
      header: "Analysis",
      value: (each) => `${typeName(each.analysis_type)} ${each.analysis_id}`,
      cell: (each) => (
        <>
          <Link
            to={`/analyses/${segment(each.analysis_id)}`}
            aria-label={`${typeName(each.analysis_type)} ${each.analysis_id}`}
          >
            {typeName(each.analysis_type)}
          </Link>
          <br />
          <code className="muted short-id">{each.analysis_id}</code>
        </>
      ),
    },
    {
      id: "state",
      header: "State",
      value: (each) => each.state,
      cell: (each) => <StateCell analysis={each} positions={positions} />,
    },
    {
      id: "created",
      header: "Created",
      value: (each) => each.created_at,
      cell: (each) => (
        <time dateTime={each.created_at} title={moment(each.created_at)} className="nowrap">
          {ago(each.created_at)}
        </time>
      ),
    },
    {
      id: "owner",
      header: "Owner",
      value: (each) => ownerName(each.owner, subject),
      cell: (each) => <span title={each.owner}>{ownerName(each.owner, subject)}</span>,
    },
    { id: "visible", header: "Visible to", value: (each) => visibleTo(each.visibility, subject) },
    {
      id: "compare",
      header: "Compare",
      value: () => "",
      sortable: false,
      cell: (each) =>
        each.state === "succeeded" && (
          <input
            type="checkbox"
            className="tick"
            aria-label={`Compare ${typeName(each.analysis_type)} ${each.analysis_id}`}
            checked={comparison.chosen.includes(each.analysis_id)}
            onChange={() => comparison.toggle(each.analysis_id)}
          />
        ),
    },
  ];
  if (analyst) {
    columns.push({
      id: "actions",
      header: "Actions",
      value: () => "",
      sortable: false,
      cell: (each) =>
        isLive(each) &&
        (admin || each.owner === subject) && (
          <Button kind="plain" onPress={() => setCancelling(each)} aria-label={`Cancel ${each.analysis_id}`}>
            Cancel
          </Button>
        ),
    });
  }

  const [a, b] = comparison.chosen;
  return (
    <Page
      title="Analyses"
      lead={roleOf(session) === "viewer" ? "What others share with you." : undefined}
      actions={
        analyst && (
          <Link className="button" data-kind="primary" to="/new">
            New analysis
          </Link>
        )
      }
    >
      {list.isError && <Problem error={list.error} />}
      {list.isPending && <Loading what="the analyses" />}
      {list.data && all.length === 0 && !list.hasNextPage && (
        <Empty>
          {analyst ? (
            <>
              <p>No analysis yet. It takes a data set in an .h5ad file and a few minutes.</p>
              <Link className="button" data-kind="primary" to="/new">
                Begin the first analysis
              </Link>
            </>
          ) : (
            <p>Nothing is shared with you yet. Whoever owns an analysis can make it visible to you on its page.</p>
          )}
        </Empty>
      )}
      {all.length > 0 && (
        <>
          <DataTable
            caption="Analyses"
            columns={columns}
            rows={shown}
            rowKey={(each) => each.analysis_id}
            search
            pageSize={PAGE}
            tools={<Select label="State" value={filter} options={FILTERS} onChange={setFilter} />}
          />
          {shown.length === 0 && (
            <p className="muted">
              No {filter} analysis among the {all.length} that are loaded.
            </p>
          )}
          <div className="row">
            <span role="status" className="muted">
              {comparison.chosen.length === 0
                ? "Tick two that succeeded to compare them."
                : comparison.chosen.length === 1
                  ? "Tick one more to compare."
                  : "Two are ticked."}
            </span>
            {a && b && (
              <Link className="button" data-kind="primary" to={`/compare?a=${segment(a)}&b=${segment(b)}`}>
                Compare the two
              </Link>
            )}
            {a && <Button onPress={comparison.clear}>Clear the ticks</Button>}
          </div>
          {list.hasNextPage && (
            <div className="row">
              <Button onPress={() => list.fetchNextPage()} isPending={list.isFetchingNextPage}>
                {list.isFetchingNextPage ? "Loading …" : "Load older analyses"}
              </Button>
              <span className="muted">{all.length} are loaded; search and filter look through these.</span>
            </div>
          )}
        </>
      )}
      <CliCommand words={["jobs", "list"]} />
      {cancelling && <Cancel analysis={cancelling} onClose={() => setCancelling(null)} />}
    </Page>
  );
}
