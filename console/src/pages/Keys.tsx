import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { api, segment } from "../lib/api";
import { ago, day } from "../lib/format";
import { canRevoke, canRotate, KEYS, type KeyRecord, type NewKey, stateOf } from "../lib/keys";
import { useCan } from "../lib/session";
import { usePrincipalName } from "../lib/users";
import { Button, CliCommand, Confirm, DataTable, Empty, Loading, Notice, Page, Problem, State } from "../ui";
import { Create } from "./keys/Create";
import { Rotate } from "./keys/Rotate";
import { ShownOnce } from "./keys/ShownOnce";
import { NotForYou } from "./NotForYou";
import "./admin.css";
import "./Keys.css";

export default function Keys() {
  if (!useCan("admin")) return <NotForYou title="API keys" />;
  return <List />;
}

function List() {
  const queries = useQueryClient();
  const nameOf = usePrincipalName();
  const [creating, setCreating] = useState(false);
  const [rotating, setRotating] = useState<KeyRecord | null>(null);
  const [revoking, setRevoking] = useState<KeyRecord | null>(null);
  const [done, setDone] = useState<string | null>(null);
  // The one place where a new key is: here until the dialog is closed, and neither in a cache nor in the browser's storage.
  const [made, setMade] = useState<NewKey | null>(null);
  const { data, error, isPending } = useQuery({
    queryKey: KEYS,
    queryFn: ({ signal }) => api.get<{ keys: KeyRecord[] }>("/api/keys", signal),
  });
  const refresh = () => queries.invalidateQueries({ queryKey: KEYS });
  const show = (key: NewKey) => {
    setCreating(false);
    setRotating(null);
    setDone(null);
    setMade(key);
    return refresh();
  };
  const revoke = async (key: KeyRecord) => {
    await api.delete<KeyRecord>(`/api/keys/${segment(key.key_id)}`);
    setDone(`The key ${key.key_id} of ${key.name ?? "a program"} is revoked.`);
    await refresh();
  };
  return (
    <Page
      title="API keys"
      lead="With a key a program calls without anybody signing in. Keys of one name are one program."
      actions={
        <Button kind="primary" onPress={() => setCreating(true)}>
          Create a key
        </Button>
      }
    >
      {done && <Notice tone="good" live title={done} />}
      {isPending && <Loading what="the keys" />}
      {error && <Problem error={error} />}
      {data?.keys.length === 0 && <Empty>There is no key yet.</Empty>}
      {data && data.keys.length > 0 && (
        <DataTable
          caption="API keys"
          search
          rows={data.keys}
          rowKey={(key) => key.key_id}
          sort={{ id: "name", desc: false }}
          columns={[
            {
              id: "name",
              header: "Program",
              value: (key) => `${key.name ?? ""} ${key.key_id}`,
              cell: (key) => (
                <>
                  <strong>{key.name ?? "made elsewhere"}</strong>
                  <br />
                  <code className="hint">{key.key_id}</code>
                  {key.created_at !== null && (
                    <div className="muted">
                      made {day(key.created_at)}
                      {key.created_by && ` by ${nameOf(key.created_by)}`}
                    </div>
                  )}
                </>
              ),
            },
            { id: "state", header: "State", value: stateOf, cell: (key) => <StateOf record={key} /> },
            {
              id: "scopes",
              header: "Opens",
              value: (key) => key.scopes.join(" "),
              cell: (key) => (
                <ul className="plain">
                  {key.scopes.map((scope) => (
                    <li key={scope}>
                      <code>{scope}</code>
                    </li>
                  ))}
                </ul>
              ),
              sortable: false,
            },
            {
              id: "ends",
              header: "Ends",
              value: (key) => key.expires_at,
              cell: (key) => <span className="nowrap">{day(key.expires_at) || "never"}</span>,
            },
            {
              id: "used",
              header: "Last used",
              value: (key) => key.last_used_at,
              cell: (key) =>
                key.last_used_at === null ? (
                  <span className="muted">not yet</span>
                ) : (
                  <span className="nowrap">{ago(key.last_used_at)}</span>
                ),
            },
            {
              id: "calls",
              header: "Takes calls",
              value: (key) => [...key.source_ranges, key.signed ? "signed" : ""].join(" "),
              cell: (key) => <Calls record={key} />,
              sortable: false,
            },
            {
              id: "actions",
              header: "Change",
              value: () => null,
              sortable: false,
              cell: (key) => (
                <div className="row actions">
                  {canRotate(key) && (
                    <Button kind="plain" onPress={() => setRotating(key)} aria-label={`Rotate ${key.key_id}`}>
                      Rotate
                    </Button>
                  )}
                  {canRevoke(key) && (
                    <Button kind="plain" onPress={() => setRevoking(key)} aria-label={`Revoke ${key.key_id}`}>
                      Revoke
                    </Button>
                  )}
                </div>
              ),
            },
          ]}
        />
      )}
      <p className="muted">
        Revoked keys stay on the list for 30 days. The last use is known to within an hour: a key that nothing has used
        for long is one to revoke.
      </p>
      <CliCommand words={["keys", "list"]} />
      {creating && <Create onClose={() => setCreating(false)} onMade={show} />}
      {rotating && <Rotate of={rotating} onClose={() => setRotating(null)} onMade={show} />}
      {made && <ShownOnce made={made} onClose={() => setMade(null)} />}
      {revoking && (
        <Confirm
          title={`Revoke the key of ${revoking.name ?? "a program"}?`}
          action="Revoke for ever"
          isOpen
          onClose={() => setRevoking(null)}
          onConfirm={() => revoke(revoking)}
        >
          <div className="page">
            <p>
              <code>{revoking.key_id}</code> ends within two seconds everywhere, and cannot be brought back. A program
              that still uses it is refused from then on. What was uploaded and computed with it stays.
            </p>
            <CliCommand words={["keys", "revoke", revoking.key_id]} />
          </div>
        </Confirm>
      )}
    </Page>
  );
}

function Calls({ record }: { record: KeyRecord }) {
  return (
    <ul className="plain">
      {record.source_ranges.length === 0 && <li className="muted">from anywhere</li>}
      {record.source_ranges.map((range) => (
        <li key={range}>
          from <code>{range}</code>
        </li>
      ))}
      {record.signed && <li>signed only</li>}
    </ul>
  );
}

function StateOf({ record }: { record: KeyRecord }) {
  const state = stateOf(record);
  return (
    <>
      <State state={state} />
      {state === "revoked" && <div className="muted nowrap">{day(record.revoked_at)}</div>}
      {record.replaced_by && (
        <div className="muted replaced">
          replaced by <code>{record.replaced_by}</code>
        </div>
      )}
    </>
  );
}
