import { useQuery } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { api } from "../lib/api";
import { duration, moment } from "../lib/format";
import { roleOf, type Session, useSession } from "../lib/session";
import { type Check, commandIn, grouped, verdict } from "../lib/status";
import { Button, CliCommand, Copy, Loading, Notice, Page, Panel, Problem, State } from "../ui";
import "./Status.css";

const WORDS = { pass: "in order", warn: "look at it", fail: "to repair" } as const;

/** For everybody, and when nobody is signed in: what to look at when something does not work. */
export default function Status() {
  const { data: session } = useSession();
  const { data, error, isPending, isFetching, refetch, dataUpdatedAt } = useQuery({
    queryKey: ["status"],
    queryFn: ({ signal }) => api.get<{ checks: Check[] }>("/console/status", signal),
    // It reaches out to the environment: when the page is opened and when somebody asks, and not with each focus.
    refetchOnWindowFocus: false,
    staleTime: 10_000,
  });
  const found = data && verdict(data.checks);
  return (
    <Page
      title="Status"
      lead="Whether this machine, you and the environment fit together."
      actions={
        <Button onPress={() => refetch()} isDisabled={isFetching}>
          {isFetching ? "Looking …" : "Look again"}
        </Button>
      }
    >
      {isPending && <Loading what="the checks" />}
      {error && <Problem error={error} />}
      {found && (
        <Notice
          live
          tone={found.state === "pass" ? "good" : found.state === "warn" ? "warn" : "bad"}
          title={`${found.words}.`}
        >
          <span>Looked at {moment(dataUpdatedAt / 1000)}.</span>
        </Notice>
      )}
      <div className="status-columns">
        {data && grouped(data.checks).map(({ title, checks }) => <Group key={title} title={title} checks={checks} />)}
        {session && <Who session={session} />}
      </div>
      <CliCommand words={["doctor"]} />
    </Page>
  );
}

function Group({ title, checks }: { title: string; checks: readonly Check[] }) {
  return (
    <Panel title={title}>
      <ul className="checks">
        {checks.map((check) => (
          <li key={check.name}>
            <div className="row">
              <strong>{check.name}</strong>
              <State state={check.state} label={WORDS[check.state]} />
            </div>
            <div className="check-detail">{check.detail}</div>
            {check.next_step && <NextStep step={check.next_step} />}
          </li>
        ))}
      </ul>
    </Panel>
  );
}

function NextStep({ step }: { step: string }) {
  const command = commandIn(step);
  if (command === null) return <div className="check-detail">{step}</div>;
  const words = step.slice(0, step.length - command.length).trim();
  return (
    <>
      {words && <div className="check-detail">{words}</div>}
      <div className="command">
        {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls has to be reached by the keyboard (WCAG 2.1.1) */}
        <section tabIndex={0} aria-label={`In a terminal: ${command}`}>
          <code>{command}</code>
        </section>
        <Copy text={command} label={`Copy ${command}`} />
      </div>
    </>
  );
}

function Who({ session }: { session: Session }) {
  const now = useNow();
  const left = (until: number | null) => (until === null ? 0 : until - now);
  const stepUp = left(session.step_up_until);
  return (
    <Panel title="The session">
      <dl className="facts">
        <dt>Environment</dt>
        <dd>{session.environment}</dd>
        <dt>API</dt>
        <dd>
          <code>{session.api}</code>
        </dd>
        <dt>Console</dt>
        <dd>version {session.version}</dd>
        <dt>Signed in</dt>
        <dd>{session.signed_in ? `as ${session.email ?? session.username}` : "no"}</dd>
        {session.signed_in && (
          <>
            <dt>Role</dt>
            <dd>{roleOf(session) ?? "none: an administrator gives you one"}</dd>
            <dt>Signed in at</dt>
            <dd>{moment(session.signed_in_at)}</dd>
            <dt>Access token</dt>
            <dd>
              {left(session.expires_at) > 0
                ? `for ${duration(left(session.expires_at))}, until ${moment(session.expires_at)}; it is renewed while you work`
                : "has ended; it is renewed with the next call"}
            </dd>
            {roleOf(session) === "admin" && (
              <>
                <dt>Administration</dt>
                <dd>
                  {stepUp > 0
                    ? `open for ${duration(stepUp)} more: what a fresh sign-in is needed for`
                    : "asks for a new sign-in, which opens it for 15 minutes"}
                </dd>
              </>
            )}
          </>
        )}
      </dl>
      {!session.signed_in && <CliCommand words={["login"]} />}
    </Panel>
  );
}

/** Seconds since the epoch, each second anew. */
function useNow(): number {
  const [now, setNow] = useState(() => Date.now() / 1000);
  useEffect(() => {
    const timer = window.setInterval(() => setNow(Date.now() / 1000), 1_000);
    return () => window.clearInterval(timer);
  }, []);
  return now;
}
