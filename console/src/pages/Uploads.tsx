import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useMemo, useState } from "react";
import { Link } from "react-router";
import { type Answer, api, type Estimate, segment, type Upload, type UploadOverview } from "../lib/api";
import { ago, bytes, duration, moment, money } from "../lib/format";
import { useCan, useSession } from "../lib/session";
import { typeName } from "../lib/states";
import { useUpload, useUploads } from "../lib/uploads";
import { asOption, ownerName, type Visibility, visibleTo, wrong } from "../lib/visibility";
import {
  Button,
  CliCommand,
  DataTable,
  Dialog,
  Empty,
  Loading,
  Notice,
  Page,
  Problem,
  State,
  type TableColumn,
  VisibilityField,
} from "../ui";
import { Facts } from "./new/Check";
import "./analyses.css";

function Estimates({ estimates }: { estimates: Record<string, Estimate> }) {
  return (
    <DataTable
      caption="What an analysis takes"
      rows={Object.entries(estimates)}
      rowKey={([type]) => type}
      columns={[
        { id: "type", header: "Type", value: ([type]) => typeName(type) },
        {
          id: "time",
          header: "Time",
          value: ([, each]) => each.seconds,
          cell: ([, each]) => duration(each.seconds),
          number: true,
        },
        {
          id: "memory",
          header: "Memory",
          value: ([, each]) => each.memory_bytes,
          cell: ([, each]) => bytes(each.memory_bytes),
          number: true,
        },
        {
          id: "cost",
          header: "Cost",
          value: ([, each]) => each.usd,
          cell: ([, each]) => money(each.usd),
          number: true,
        },
      ]}
    />
  );
}

/** Changes who may see it, from what was seen: a change that somebody else made meanwhile is not overwritten. */
function Share({ answer }: { answer: Answer<Upload> }) {
  const queries = useQueryClient();
  const { body: upload, etag } = answer;
  const [visibility, setVisibility] = useState<Visibility>(upload.visibility);
  const share = useMutation({
    mutationFn: () =>
      api.patch(`/api/uploads/${segment(upload.upload_id)}`, { visibility }, etag ? { "If-Match": etag } : undefined),
    onSettled: () =>
      Promise.all([
        queries.invalidateQueries({ queryKey: ["uploads"] }),
        queries.invalidateQueries({ queryKey: ["upload", upload.upload_id] }),
      ]),
  });
  const same = JSON.stringify(visibility) === JSON.stringify(upload.visibility);
  return (
    <>
      <VisibilityField value={visibility} onChange={setVisibility} />
      <p className="hint">Whoever sees a data set may analyse it. Its analyses are shared each by itself.</p>
      {share.isError && <Problem error={share.error} />}
      {share.isSuccess && same && <Notice tone="good" live title={`Visible to: ${visibleTo(upload.visibility)}`} />}
      <div className="row">
        <Button
          kind="primary"
          onPress={() => share.mutate()}
          isDisabled={same || wrong(visibility) !== null}
          isPending={share.isPending}
        >
          {share.isPending ? "Saving …" : "Save who sees it"}
        </Button>
      </div>
      <CliCommand words={["uploads", "share", upload.upload_id, asOption(visibility) || "private"]} />
    </>
  );
}

function Details({ id, onClose }: { id: string; onClose: () => void }) {
  const { data: session } = useSession();
  const answer = useUpload(id);
  const upload = answer.data?.body;
  return (
    <Dialog title={upload?.name ?? "Data set"} isOpen onClose={onClose}>
      {answer.isPending && <Loading what="the data set" />}
      {answer.isError && <Problem error={answer.error} />}
      {upload && answer.data && (
        <>
          <Facts upload={upload} />
          {upload.state === "rejected" && (
            <Notice tone="bad" title={upload.detail ?? "The data set was rejected."}>
              <span className="hint">
                code <code>{upload.code}</code>
              </span>
            </Notice>
          )}
          {upload.estimates && <Estimates estimates={upload.estimates as Record<string, Estimate>} />}
          {upload.owner === session?.subject ? (
            <Share answer={answer.data} />
          ) : (
            <p className="muted">
              Visible to: {visibleTo(upload.visibility, session?.subject)}. Its owner alone changes that.
            </p>
          )}
        </>
      )}
      <div className="row">
        {upload?.state === "accepted" && (
          <Link className="button" data-kind="primary" to={`/new?upload=${segment(id)}`}>
            Analyse it
          </Link>
        )}
        <Button onPress={onClose}>Close</Button>
      </div>
    </Dialog>
  );
}

function useColumns(open: (id: string) => void): TableColumn<UploadOverview>[] {
  const { data: session } = useSession();
  const subject = session?.subject;
  return useMemo(
    () => [
      {
        id: "name",
        header: "Data set",
        value: (each) => `${each.name ?? ""} ${each.upload_id}`,
        cell: (each) => (
          <div className="data-set-name">
            <strong>{each.name ?? "Without a name"}</strong>
            <code className="muted short-id">{each.upload_id}</code>
          </div>
        ),
      },
      {
        id: "state",
        header: "State",
        value: (each) => each.state,
        cell: (each) => (
          <div className="state-cell">
            <State state={each.state} />
            {each.detail && <span className="hint">{each.detail}</span>}
          </div>
        ),
      },
      {
        id: "bytes",
        header: "Size",
        value: (each) => each.bytes,
        cell: (each) => (each.bytes == null ? "" : <span className="nowrap">{bytes(each.bytes)}</span>),
        number: true,
      },
      {
        id: "created",
        header: "Begun",
        value: (each) => each.created_at,
        cell: (each) => (
          <time dateTime={each.created_at} title={moment(each.created_at)} className="nowrap">
            {ago(each.created_at)}
          </time>
        ),
      },
      {
        id: "expires",
        header: "Deleted on",
        value: (each) => each.expires_at,
        cell: (each) =>
          each.expires_at ? (
            <time dateTime={each.expires_at} title={moment(each.expires_at)} className="nowrap">
              {new Date(each.expires_at).toLocaleDateString(undefined, { dateStyle: "medium" })}
            </time>
          ) : (
            ""
          ),
      },
      {
        id: "owner",
        header: "Owner, visible to",
        value: (each) => `${ownerName(each.owner, subject)} ${visibleTo(each.visibility, subject)}`,
        cell: (each) => (
          <>
            <span title={each.owner}>{ownerName(each.owner, subject)}</span>
            <br />
            <span className="hint">{visibleTo(each.visibility, subject)}</span>
          </>
        ),
      },
      {
        id: "actions",
        header: "Actions",
        value: () => "",
        sortable: false,
        cell: (each) => {
          const name = each.name ?? each.upload_id;
          return (
            <div className="row-actions">
              {each.state === "accepted" && (
                <Link to={`/new?upload=${segment(each.upload_id)}`} aria-label={`Analyse ${name}`}>
                  Analyse
                </Link>
              )}
              <Button kind="plain" onPress={() => open(each.upload_id)} aria-label={`Details of ${name}`}>
                Details
              </Button>
            </div>
          );
        },
      },
    ],
    [subject, open],
  );
}

function List() {
  const list = useUploads();
  const [opened, setOpened] = useState<string | null>(null);
  const columns = useColumns(setOpened);
  const uploads = useMemo(() => list.data?.pages.flatMap((page) => page.uploads) ?? [], [list.data]);
  return (
    <>
      {list.isError && <Problem error={list.error} />}
      {list.isPending && <Loading what="the data sets" />}
      {list.data && uploads.length === 0 && !list.hasNextPage && (
        <Empty>
          <p>No data set yet.</p>
          <Link className="button" data-kind="primary" to="/new">
            Send the first one
          </Link>
        </Empty>
      )}
      {uploads.length > 0 && (
        <DataTable
          caption="Data sets"
          columns={columns}
          rows={uploads}
          rowKey={(each) => each.upload_id}
          search
          pageSize={50}
        />
      )}
      {list.hasNextPage && (
        <div className="row">
          <Button onPress={() => list.fetchNextPage()} isPending={list.isFetchingNextPage}>
            {list.isFetchingNextPage ? "Loading …" : "Load older data sets"}
          </Button>
        </div>
      )}
      <CliCommand words={["uploads", "list"]} />
      {opened && <Details id={opened} onClose={() => setOpened(null)} />}
    </>
  );
}

export default function Uploads() {
  const analyst = useCan("analyst");
  return (
    <Page
      title="Data sets"
      lead={
        analyst
          ? "What was uploaded by you or is shared with you. A data set is deleted 30 days after it was begun."
          : undefined
      }
      actions={
        analyst && (
          <Link className="button" data-kind="primary" to="/new">
            New analysis
          </Link>
        )
      }
    >
      {analyst ? (
        <List />
      ) : (
        <Empty>Your role reads results that are shared. Analysts and administrators see data sets.</Empty>
      )}
    </Page>
  );
}
