import { useState } from "react";
import type { ResultFile } from "../lib/api";
import { bytes } from "../lib/format";
import { Button, CliCommand, Copy, DataTable, Panel, Problem } from "../ui";
import { download } from "./queries";

/** Everything that the analysis left, to take away. */
export function Files({ id, files }: { id: string; files: ResultFile[] }) {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const fetchAll = async (names: string[]) => {
    setBusy(true);
    setError(null);
    try {
      for (const name of names) await download(id, name);
    } catch (failure) {
      setError(failure);
    } finally {
      setBusy(false);
    }
  };
  const total = files.reduce((sum, file) => sum + file.bytes, 0);
  return (
    <Panel
      title="Files"
      actions={
        <Button onPress={() => fetchAll(files.map(({ name }) => name))} isDisabled={busy}>
          Download all ({files.length} files, {bytes(total)})
        </Button>
      }
    >
      {error !== null && <Problem error={error} />}
      <DataTable
        caption="Files of the analysis"
        rows={files}
        rowKey={({ name }) => name}
        pageSize={50}
        columns={[
          { id: "name", header: "Name", value: ({ name }) => name },
          { id: "bytes", header: "Size", value: (file) => file.bytes, cell: (file) => bytes(file.bytes), number: true },
          {
            id: "sha256",
            header: "SHA-256",
            value: ({ sha256 }) => sha256,
            sortable: false,
            cell: ({ name, sha256 }) => (
              <span className="hash">
                <code>{sha256.slice(0, 12)}…</code>
                <Copy text={sha256} label={`Copy the SHA-256 of ${name}`} />
              </span>
            ),
          },
          {
            id: "fetch",
            header: "Download",
            value: () => null,
            sortable: false,
            cell: ({ name }) => (
              <Button onPress={() => fetchAll([name])} isDisabled={busy} aria-label={`Download ${name}`}>
                Download
              </Button>
            ),
          },
        ]}
      />
      <p className="muted">In a terminal each file is checked against its SHA-256 as it arrives:</p>
      <CliCommand words={["results", id, "--output", "results"]} />
    </Panel>
  );
}
