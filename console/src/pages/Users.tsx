import { useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { ApiError, api } from "../lib/api";
import { day } from "../lib/format";
import { focusWrong } from "../lib/forms";
import { type Role, useCan, useSession } from "../lib/session";
import {
  type Change,
  EXTERNAL,
  factorText,
  isAddress,
  nameOf,
  ROLES,
  roleLabel,
  roleOfUser,
  statusText,
  USERS,
  type User,
  usePeople,
} from "../lib/users";
import {
  Button,
  CliCommand,
  Confirm,
  DataTable,
  Dialog,
  Field,
  Loading,
  Notice,
  Page,
  Problem,
  Select,
  State,
} from "../ui";
import { NotForYou } from "./NotForYou";
import "./admin.css";

/** What is about to be done to whom. */
interface Asked {
  what: "role" | "disable" | "enable" | "factor";
  user: User;
}

export default function Users() {
  if (!useCan("admin")) return <NotForYou title="Users" />;
  return <People />;
}

function People() {
  const { data: session } = useSession();
  const { data, error, isPending } = usePeople();
  const queries = useQueryClient();
  const [inviting, setInviting] = useState(false);
  const [asked, setAsked] = useState<Asked | null>(null);
  const [done, setDone] = useState<string | null>(null);
  const refresh = (told: string) => {
    setDone(told);
    return queries.invalidateQueries({ queryKey: USERS });
  };
  const change = async (user: User, what: Change, told: string) => {
    await api.patch<User>("/api/users", { username: user.username, ...what });
    await refresh(told);
  };
  return (
    <Page
      title="Users"
      lead="Who may sign in, and what they may do."
      actions={
        <Button kind="primary" onPress={() => setInviting(true)}>
          Invite somebody
        </Button>
      }
    >
      {done && <Notice tone="good" live title={done} />}
      {isPending && <Loading what="the users" />}
      {error && <Problem error={error} />}
      {data?.more && (
        <Notice tone="warn" title={`These are the first ${data.users.length}: there are more than this page reads.`} />
      )}
      {data && (
        <DataTable
          caption="Users"
          search
          rows={data.users}
          rowKey={(user) => user.username}
          sort={{ id: "who", desc: false }}
          columns={[
            {
              id: "who",
              header: "Who",
              value: nameOf,
              cell: (user) => (
                <>
                  {nameOf(user)} {user.subject === session?.subject && <span className="muted">(you)</span>}
                </>
              ),
            },
            { id: "role", header: "Role", value: (user) => roleLabel(roleOfUser(user)) },
            {
              id: "enabled",
              header: "Access",
              value: (user) => `${user.enabled ? "enabled" : "disabled"} ${statusText(user.status)}`,
              cell: (user) => (
                <>
                  <State state={user.enabled ? "active" : "disabled"} label={user.enabled ? "enabled" : "disabled"} />
                  <div className="muted">{statusText(user.status)}</div>
                </>
              ),
            },
            { id: "factor", header: "Second factor", value: (user) => factorText(user.mfa) },
            {
              id: "created",
              header: "Invited",
              value: (user) => user.created_at,
              cell: (user) => <span className="nowrap">{day(user.created_at)}</span>,
            },
            {
              id: "actions",
              header: "Change",
              value: () => null,
              sortable: false,
              cell: (user) => <Actions user={user} own={user.subject === session?.subject} ask={setAsked} />,
            },
          ]}
        />
      )}
      <CliCommand words={["users", "list"]} />
      {inviting && <Invite onClose={() => setInviting(false)} onDone={refresh} />}
      {asked?.what === "role" && <ChangeRole user={asked.user} onClose={() => setAsked(null)} change={change} />}
      {asked && asked.what !== "role" && <Question asked={asked} onClose={() => setAsked(null)} change={change} />}
    </Page>
  );
}

/** Nobody locks themselves out, and nobody's identity provider is meddled with: the service refuses it, and here it is not offered. */
function Actions({ user, own, ask }: { user: User; own: boolean; ask: (asked: Asked) => void }) {
  const name = nameOf(user);
  return (
    <div className="row actions">
      {!own && <Access user={user} ask={ask} />}
      {user.mfa && user.status !== EXTERNAL && (
        <Button
          kind="plain"
          onPress={() => ask({ what: "factor", user })}
          aria-label={`Reset factor: the second factor of ${name}`}
        >
          Reset factor
        </Button>
      )}
    </div>
  );
}

function Access({ user, ask }: { user: User; ask: (asked: Asked) => void }) {
  const name = nameOf(user);
  return (
    <>
      <Button kind="plain" onPress={() => ask({ what: "role", user })} aria-label={`Change the role of ${name}`}>
        Role
      </Button>
      {user.enabled ? (
        <Button kind="plain" onPress={() => ask({ what: "disable", user })} aria-label={`Disable ${name}`}>
          Disable
        </Button>
      ) : (
        <Button kind="plain" onPress={() => ask({ what: "enable", user })} aria-label={`Enable ${name}`}>
          Enable
        </Button>
      )}
    </>
  );
}

const QUESTIONS = {
  disable: {
    title: (name: string) => `Disable ${name}?`,
    means:
      "They are signed out, and cannot sign in again until they are enabled. What an access token opens that they hold already, it opens until it ends, within the hour. Their data sets and analyses stay.",
    action: "Disable",
    change: { enabled: false },
    told: (name: string) => `${name} is disabled.`,
    words: (user: User) => ["users", "disable", user.username],
  },
  enable: {
    title: (name: string) => `Enable ${name}?`,
    means: "They can sign in again, with the role that they had and the password and second factor that they have.",
    action: "Enable",
    change: { enabled: true },
    told: (name: string) => `${name} is enabled.`,
    words: (user: User) => ["users", "enable", user.username],
  },
  factor: {
    title: (name: string) => `Reset the second factor of ${name}?`,
    means:
      "Their authenticator app no longer works for this environment, and the next sign-in enrols a new one with the password alone. Do this only when you are sure who asks: whoever knows the password can enrol theirs.",
    action: "Reset the second factor",
    change: { reset_mfa: true },
    told: (name: string) => `The second factor of ${name} is reset: the next sign-in enrols a new one.`,
    words: (user: User) => ["users", "reset-mfa", user.username],
  },
} as const;

type Changing = (user: User, what: Change, told: string) => Promise<void>;

function Question({ asked, onClose, change }: { asked: Asked; onClose: () => void; change: Changing }) {
  if (asked.what === "role") return null;
  const question = QUESTIONS[asked.what];
  const name = nameOf(asked.user);
  return (
    <Confirm
      title={question.title(name)}
      action={question.action}
      isOpen
      onClose={onClose}
      onConfirm={() => change(asked.user, question.change, question.told(name))}
    >
      <div className="page">
        <p>{question.means}</p>
        <CliCommand words={question.words(asked.user)} />
      </div>
    </Confirm>
  );
}

const NONE = "none";
const ROLE_OPTIONS = ROLES.map(({ value, label }) => ({ value, label }));

function may(role: Role | typeof NONE): string {
  const found = ROLES.find((each) => each.value === role);
  return found ? `${found.label}: ${found.may}.` : "No role: can sign in, and do nothing.";
}

function ChangeRole({ user, onClose, change }: { user: User; onClose: () => void; change: Changing }) {
  const own = roleOfUser(user) ?? NONE;
  const [role, setRole] = useState<Role | typeof NONE>(own);
  const name = nameOf(user);
  return (
    <Confirm
      title={`The role of ${name}`}
      action="Change the role"
      isOpen
      onClose={onClose}
      onConfirm={async () => {
        if (role === own) return;
        const group = role === NONE ? null : role;
        await change(user, { group }, `${name} has the role ${roleLabel(group)} now.`);
      }}
    >
      <div className="page">
        <Select
          label="Role"
          value={role}
          onChange={setRole}
          options={[...ROLE_OPTIONS, { value: NONE, label: "No role" }]}
          hint={may(role)}
        />
        <p>
          What an access token opens that they hold already, it opens until it ends, within the hour. The new role
          counts from the next one on.
        </p>
        {role !== NONE && <CliCommand words={["users", "set-group", user.username, role]} />}
      </div>
    </Confirm>
  );
}

function Invite({ onClose, onDone }: { onClose: () => void; onDone: (told: string) => Promise<void> }) {
  const [email, setEmail] = useState("");
  const [role, setRole] = useState<Role>("viewer");
  const [tried, setTried] = useState(false);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const address = email.trim();
  const wrong = isAddress(address) ? undefined : "Write an e-mail address, as name@example.org.";
  const invite = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    setTried(true);
    if (wrong) {
      focusWrong(event.currentTarget);
      return;
    }
    setBusy(true);
    setError(null);
    try {
      await api.post<User>("/api/users", { email: address, group: role });
      await onDone(`${address} is invited, with the role ${roleLabel(role)}.`);
      onClose();
    } catch (failure) {
      setError(failure);
    } finally {
      setBusy(false);
    }
  };
  return (
    <Dialog title="Invite somebody" isOpen onClose={onClose}>
      <form onSubmit={invite} className="page" noValidate>
        <p>
          They get a message with a temporary password. At the first sign-in they set their own, and enrol a second
          factor where the environment asks for one.
        </p>
        <Field
          label="E-mail address"
          type="email"
          autoComplete="off"
          value={email}
          onChange={setEmail}
          isRequired
          validationBehavior="aria"
          error={tried ? wrong : undefined}
        />
        <Select label="Role" value={role} onChange={setRole} options={ROLE_OPTIONS} hint={may(role)} />
        {error !== null && <Problem error={error} />}
        {error instanceof ApiError && error.code === "user_exists" && (
          <p>They are on the list: change their role there, or enable them.</p>
        )}
        <CliCommand words={["users", "add", address || "name@example.org", "--group", role]} />
        <div className="row">
          <Button type="submit" kind="primary" isDisabled={busy}>
            Invite
          </Button>
          <Button onPress={onClose}>Cancel</Button>
        </div>
      </form>
    </Dialog>
  );
}
