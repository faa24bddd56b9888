import { useQueries } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { DropZone, FileTrigger, Text } from "react-aria-components";
import { api, segment, type Upload, type UploadOverview } from "../../lib/api";
import { amend, draft } from "../../lib/draft";
import { ago, bytes } from "../../lib/format";
import { useSession } from "../../lib/session";
import { useStore } from "../../lib/store";
import { begin, transfer } from "../../lib/upload";
import { useUpload, useUploads } from "../../lib/uploads";
import { Button, Loading, Notice, Panel, Problem, Select } from "../../ui";
import { Check } from "./Check";
import { Transfer } from "./Transfer";

/** Uploads of one's own that may not have come to their end are looked at one by one. */
const MOST_UNFINISHED = 3;

/** A file that is dropped beside the place for it would take the place of the page. */
function useNoNavigationByDrop() {
  useEffect(() => {
    const stop = (event: DragEvent) => event.preventDefault();
    window.addEventListener("dragover", stop);
    window.addEventListener("drop", stop);
    return () => {
      window.removeEventListener("dragover", stop);
      window.removeEventListener("drop", stop);
    };
  }, []);
}

function choose(file: File): void {
  amend({ earlier: null });
  void begin(file);
}

function Unfinished({ uploads }: { uploads: readonly UploadOverview[] }) {
  const { data: session } = useSession();
  const own = uploads
    .filter((each) => each.state === "pending" && each.owner === session?.subject)
    .slice(0, MOST_UNFINISHED);
  const answers = useQueries({
    queries: own.map(({ upload_id }) => ({
      queryKey: ["upload", upload_id, "parts"],
      queryFn: ({ signal }: { signal: AbortSignal }) => api.get<Upload>(`/api/uploads/${segment(upload_id)}`, signal),
    })),
  });
  const broken = answers.flatMap(({ data }) =>
    data?.parts && data.parts_received && data.parts_received.length < data.parts ? [data] : [],
  );
  if (broken.length === 0) return null;
  return (
    <Notice title="Not sent to the end">
      <ul className="plain-list">
        {broken.map((each) => (
          <li key={each.upload_id}>
            <strong>{each.name ?? each.upload_id}</strong>
            {each.bytes != null && ` (${bytes(each.bytes)})`}: {each.parts_received?.length} of {each.parts} parts
            arrived, begun {ago(each.created_at)}
          </li>
        ))}
      </ul>
      <span>Choose the same file to go on where it was.</span>
    </Notice>
  );
}

function Choose() {
  const list = useUploads();
  const [more, setMore] = useState(false);
  const uploads = list.data?.pages.flatMap((page) => page.uploads) ?? [];
  const accepted = uploads.filter((each) => each.state === "accepted");
  const take = (files: File[]) => {
    const [first] = files;
    setMore(files.length > 1);
    if (first) choose(first);
  };
  return (
    <>
      <DropZone
        className="drop"
        getDropOperation={() => "copy"}
        onDrop={async (event) => {
          const items = event.items.flatMap((item) => (item.kind === "file" ? [item] : []));
          take(await Promise.all(items.map((item) => item.getFile())));
        }}
      >
        <Text slot="label">Drop an .h5ad file here</Text>
        <span className="muted">It is looked at here first; nothing is sent when something is wrong with it.</span>
        <FileTrigger acceptedFileTypes={[".h5ad", ".h5"]} onSelect={(files) => take([...(files ?? [])])}>
          <Button kind="primary">Choose a file</Button>
        </FileTrigger>
      </DropZone>
      {more && <Notice tone="warn">One file is one data set: the first was taken.</Notice>}
      <Unfinished uploads={uploads} />
      {list.isError && <Problem error={list.error} />}
      {accepted.length > 0 && (
        <Select
          label="Or a data set that is here already"
          value=""
          onChange={(id) => id && amend({ earlier: id })}
          options={[
            { value: "", label: "Choose …" },
            ...accepted.map((each) => ({
              value: each.upload_id,
              label: `${each.name ?? each.upload_id}${each.bytes == null ? "" : `, ${bytes(each.bytes)}`}, ${ago(each.created_at)}`,
            })),
          ]}
        />
      )}
    </>
  );
}

/** The upload that the analysis will be of, once there is one. */
export function useChosenUpload() {
  const { earlier } = useStore(draft);
  const sent = useStore(transfer);
  return useUpload(earlier ?? (sent?.state === "sent" ? sent.uploadId : null));
}

export function DataSet() {
  useNoNavigationByDrop();
  const { earlier } = useStore(draft);
  const sent = useStore(transfer);
  const chosen = useChosenUpload();
  const upload = chosen.data?.body;
  return (
    <Panel title="1. Data set">
      {!earlier && !sent && <Choose />}
      {!earlier && sent && <Transfer sent={sent} />}
      {earlier && (
        <div className="row">
          <h3>{upload?.name ?? earlier}</h3>
          <Button onPress={() => amend({ earlier: null })}>
            {sent ? `Take ${sent.file.name} instead` : "Choose another"}
          </Button>
        </div>
      )}
      {chosen.isLoading && <Loading what="the data set" />}
      {chosen.isError && <Problem error={chosen.error} />}
      {upload && <Check upload={upload} />}
    </Panel>
  );
}
