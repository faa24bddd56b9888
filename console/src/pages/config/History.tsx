import { useInfiniteQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { type Answer, api, type Configuration, type Version } from "../../lib/api";
import {
  CONFIGURATION,
  differences,
  readVersions,
  shown,
  VERSIONS,
  type VersionPage,
  valuesAt,
  valuesOf,
} from "../../lib/configuration";
import { moment } from "../../lib/format";
import { useCan } from "../../lib/session";
import { usePrincipalName } from "../../lib/users";
import {
  Button,
  CliCommand,
  Confirm,
  DataTable,
  Empty,
  Loading,
  Notice,
  Panel,
  Problem,
  type TableColumn,
} from "../../ui";
import { Differences } from "./Differences";

/** HeartMAP's own values, which nobody wrote. */
const ORIGIN: Version = {
  version: 0,
  changed_by: "HeartMAP",
  changed_at: "",
  request_id: null,
  changes: [],
  restored_from: null,
};

/** Who changed what, and the way back. */
export function History({ latest }: { latest: Answer<Configuration> }) {
  const admin = useCan("admin");
  const nameOf = usePrincipalName();
  const [restoring, setRestoring] = useState<number | null>(null);
  const [restored, setRestored] = useState<{ from: number; version: number } | null>(null);
  const { data, error, isPending, hasNextPage, fetchNextPage, isFetchingNextPage } = useInfiniteQuery({
    queryKey: VERSIONS,
    queryFn: ({ pageParam, signal }) => readVersions(pageParam, signal),
    initialPageParam: null as string | null,
    getNextPageParam: (last: VersionPage) => last.next_cursor ?? null,
  });
  const versions = data?.pages.flatMap((page) => page.versions) ?? [];
  const rows = hasNextPage || versions.length === 0 ? versions : [...versions, ORIGIN];
  const columns: TableColumn<Version>[] = [
    { id: "version", header: "Version", value: (row) => row.version, number: true },
    {
      id: "when",
      header: "When",
      value: (row) => row.changed_at,
      cell: (row) => <span className="nowrap">{moment(row.changed_at || null)}</span>,
    },
    { id: "who", header: "Who", value: (row) => nameOf(row.changed_by) },
    {
      id: "what",
      header: "What",
      value: (row) => row.changes.map((change) => change.field).join(" "),
      cell: (row) => <What version={row} />,
      sortable: false,
    },
  ];
  if (admin) {
    columns.push({
      id: "restore",
      header: "Roll back",
      value: () => null,
      sortable: false,
      cell: (row) =>
        row.version === latest.body.version ? (
          <span className="muted">as it is now</span>
        ) : (
          <Button onPress={() => setRestoring(row.version)} aria-label={`Roll back to version ${row.version}`}>
            Roll back
          </Button>
        ),
    });
  }
  return (
    <Panel title="History">
      {restored && (
        <Notice
          tone="good"
          live
          title={`Version ${restored.version} has the values of version ${restored.from}. New analyses run with it.`}
        />
      )}
      {isPending && <Loading what="the history" />}
      {error && <Problem error={error} />}
      {data && versions.length === 0 && <Empty>Nobody has changed the configuration: it is HeartMAP’s own.</Empty>}
      {rows.length > 0 && (
        <DataTable
          caption="Versions of the configuration"
          rows={rows}
          rowKey={(row) => String(row.version)}
          columns={columns}
          pageSize={20}
        />
      )}
      {hasNextPage && (
        <div className="row">
          <Button onPress={() => fetchNextPage()} isDisabled={isFetchingNextPage}>
            Load older versions
          </Button>
        </div>
      )}
      <CliCommand words={["config", "history"]} />
      {restoring !== null && (
        <Restore
          version={restoring}
          latest={latest}
          versions={versions}
          onClose={() => setRestoring(null)}
          onDone={(version) => setRestored({ from: restoring, version })}
        />
      )}
    </Panel>
  );
}

function What({ version }: { version: Version }) {
  if (version.version === 0) return <>HeartMAP’s own values</>;
  return (
    <>
      {version.restored_from !== null && <div>Brought the values of version {version.restored_from} back.</div>}
      {version.changes.length === 0 && <span className="muted">nothing became different</span>}
      <ul className="plain">
        {version.changes.map((change) => (
          <li key={change.field}>
            <code>{change.field}</code> {shown(change.from)} → <strong>{shown(change.to)}</strong>
          </li>
        ))}
      </ul>
    </>
  );
}

function Restore({
  version,
  latest,
  versions,
  onClose,
  onDone,
}: {
  version: number;
  latest: Answer<Configuration>;
  versions: readonly Version[];
  onClose: () => void;
  onDone: (version: number) => void;
}) {
  const queries = useQueryClient();
  const values = valuesAt(version, latest.body, versions);
  const different = values && differences(valuesOf(latest.body), values);
  const restore = async () => {
    const match = latest.etag ? { "If-Match": latest.etag } : undefined;
    try {
      onDone((await api.post<Configuration>("/api/config", { restore_version: version }, match)).version);
    } finally {
      // After a refusal too: somebody else may have changed it, and the question below is put anew.
      await queries.invalidateQueries({ queryKey: CONFIGURATION });
      await queries.invalidateQueries({ queryKey: VERSIONS });
    }
  };
  return (
    <Confirm title={`Roll back to version ${version}?`} action="Roll back" isOpen onClose={onClose} onConfirm={restore}>
      <div className="page">
        <p>
          Its values become version {latest.body.version + 1}; no version is lost. Analyses that are queued or running
          keep the values that they were begun with.
        </p>
        {different && different.length > 0 && <Differences of={different} caption="What will change" />}
        {different?.length === 0 && <p>Its values are those of now: nothing would become different.</p>}
        {!different && <p>What will change cannot be told from what is loaded of the history.</p>}
        <CliCommand words={["config", "restore", String(version)]} />
      </div>
    </Confirm>
  );
}
