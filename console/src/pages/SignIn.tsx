import { useMutation, useQueryClient } from "@tanstack/react-query";
import { type ReactNode, useEffect, useRef, useState } from "react";
import { Outlet } from "react-router";
import { api } from "../lib/api";
import { asked, type Need, settle } from "../lib/renewal";
import { roleOf, SESSION_KEY, type Session, useSession } from "../lib/session";
import { useStore } from "../lib/store";
import { Button, CliCommand, Copy, Dialog, Notice, Page, Panel, Problem } from "../ui";
import "./signin.css";

/** An address to open, and nothing that a browser would run. */
export function webAddress(text: string): string | null {
  try {
    const { protocol, href } = new URL(text);
    return protocol === "https:" || protocol === "http:" ? href : null;
  } catch {
    return null;
  }
}

/** The way to the sign-in page and back: a link that the person opens, so that no browser blocks it, and news of how it went. */
function SignInSteps() {
  const queries = useQueryClient();
  const { data: session } = useSession();
  const [begun, setBegun] = useState(false);
  const link = useRef<HTMLAnchorElement>(null);
  const begin = useMutation({
    mutationFn: async () => (await api.post<{ address: string }>("/console/sign-in")).address,
    onSuccess: async () => {
      setBegun(true);
      await queries.invalidateQueries({ queryKey: SESSION_KEY });
    },
  });
  const address = begin.data ? webAddress(begin.data) : null;
  const waiting = begun && session?.sign_in === "waiting";
  const failed = begun && session?.sign_in === "failed";
  // What comes next is the link: it is where the keyboard goes.
  useEffect(() => {
    if (address) link.current?.focus();
  }, [address]);
  return (
    <div className="sign-in-steps">
      {begin.isError && <Problem error={begin.error} />}
      {failed && (
        <Notice tone="bad" live title="The sign-in did not succeed.">
          <span>{session?.sign_in_error || "Nobody came back from the sign-in page."}</span>
          <span>Try again; nothing was lost.</span>
        </Notice>
      )}
      {begin.data && !address && <Notice tone="bad" live title="The console gave no address to sign in at." />}
      {address && !failed ? (
        <>
          <div className="row">
            <a
              ref={link}
              className="button"
              data-kind="primary"
              href={address}
              target="_blank"
              rel="noopener noreferrer"
            >
              Open the sign-in page <span aria-hidden="true">↗</span>
              <span className="visually-hidden">in a new tab</span>
            </a>
            <Button onPress={() => begin.mutate()} isPending={begin.isPending}>
              New link
            </Button>
          </div>
          <p role="status" className="muted">
            {waiting
              ? "Waiting for you to sign in there. This page goes on by itself."
              : "The sign-in page opens in a new tab; come back here afterwards."}
          </p>
        </>
      ) : (
        <div className="row">
          <Button kind="primary" onPress={() => begin.mutate()} isPending={begin.isPending} autoFocus={failed}>
            {begin.isPending ? "One moment …" : failed ? "Sign in again" : "Sign in"}
          </Button>
        </div>
      )}
    </div>
  );
}

function SignInPage({ session }: { session: Session | undefined }) {
  return (
    <Page
      title="Sign in"
      lead="The console works with your account of this environment. Your password and second factor go to its sign-in page alone."
    >
      <div className="sign-in">
        <Panel>
          <dl className="facts">
            <dt>Environment</dt>
            <dd>{session?.environment}</dd>
            <dt>Address</dt>
            <dd>{session?.api}</dd>
          </dl>
          <SignInSteps />
        </Panel>
        <p className="muted">Or sign in from the terminal; this page notices within a minute:</p>
        <CliCommand words={["login"]} />
      </div>
    </Page>
  );
}

function NoRole({ session }: { session: Session }) {
  return (
    <Page title="No role yet">
      <Notice tone="warn" title="You are signed in, but your account has no role in this environment.">
        <span>
          Ask an administrator to give you one: viewer, analyst or admin. They do it on the page Users, or with the
          command below. Then sign out and in again, since a role comes with the sign-in.
        </span>
      </Notice>
      <CliCommand words={["users", "set-group", session.username ?? "USERNAME", "analyst"]} />
      <div className="row">
        <SignOutButton />
      </div>
    </Page>
  );
}

/**
 * What stands behind it is for people who are signed in. Once they were, it stays when the session ends: what they typed is theirs,
 * and the overlay asks for a sign-in when it is needed.
 */
export function Gate() {
  const { data: session } = useSession();
  const [entered, setEntered] = useState(false);
  const may = Boolean(session?.signed_in && roleOf(session));
  useEffect(() => {
    if (may) setEntered(true);
  }, [may]);
  if (may || entered) return <Outlet />;
  if (session?.signed_in) return <NoRole session={session} />;
  return <SignInPage session={session} />;
}

const WORDS: Record<Need, { title: string; text: string }> = {
  expired: {
    title: "Your sign-in has ended",
    text: "Sign in again to go on. Everything on the page stays as it is, and what you asked for is done then.",
  },
  step_up: {
    title: "Sign in again for this",
    text: "Such a change takes a sign-in of the last 15 minutes. Sign in again; the change is made then.",
  },
};

/** Asks for a sign-in over whatever page is open. */
export function Renewal() {
  const need = useStore(asked);
  return need ? <Asking need={need} /> : null;
}

function Asking({ need }: { need: Need }) {
  const queries = useQueryClient();
  const { data: session } = useSession();
  const [before] = useState(() => queries.getQueryData<Session>(SESSION_KEY));
  const isNew = Boolean(
    session?.signed_in && session.signed_in_at && session.signed_in_at > (before?.signed_in_at ?? 0),
  );
  useEffect(() => {
    // The page may have learned of the session's end only by the refusal.
    void queries.invalidateQueries({ queryKey: SESSION_KEY });
  }, [queries]);
  useEffect(() => {
    if (!isNew) return;
    if (before?.subject && before.subject !== session?.subject) {
      // Somebody else: nothing that the one before saw or typed is theirs.
      settle(false);
      window.location.assign("/");
      return;
    }
    settle(true);
    void queries.invalidateQueries();
  }, [isNew, before, session, queries]);
  const { title, text } = WORDS[need];
  return (
    <Dialog title={title} isOpen onClose={() => settle(false)} isDismissable={false}>
      <p>{text}</p>
      {before?.username && (
        <p className="muted">
          You were signed in as <strong>{before.email ?? before.username}</strong>.
        </p>
      )}
      <SignInSteps />
      <div className="row">
        <Button onPress={() => settle(false)}>Not now</Button>
      </div>
    </Dialog>
  );
}

/** Where calls fail because "not now" was said, the way back. */
export function SignedOutBar(): ReactNode {
  const { data: session } = useSession();
  const need = useStore(asked);
  const [entered, setEntered] = useState(false);
  useEffect(() => {
    if (session?.signed_in) setEntered(true);
  }, [session]);
  if (!entered || !session || session.signed_in || need) return null;
  return (
    <div className="signed-out">
      <Notice tone="warn" live title="You are signed out: what is shown may be out of date.">
        <div className="row">
          <Button onPress={() => asked.set("expired")}>Sign in</Button>
        </div>
      </Notice>
    </div>
  );
}

function SignOutButton() {
  const out = useMutation({
    mutationFn: () => api.post("/console/sign-out"),
    // A new page knows nothing of what the old one held.
    onSuccess: () => window.location.assign("/"),
  });
  return (
    <>
      <Button onPress={() => out.mutate()} isPending={out.isPending}>
        {out.isPending ? "Signing out …" : "Sign out"}
      </Button>
      {out.isError && <Problem error={out.error} />}
    </>
  );
}

export function SignOut() {
  const { data: session } = useSession();
  return (
    <>
      <SignOutButton />
      {session?.subject && (
        <Copy text={session.subject} label="Copy my id, for others to share with me" shown="Copy my id" />
      )}
    </>
  );
}
