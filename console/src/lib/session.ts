import { useQuery } from "@tanstack/react-query";
import { api } from "./api";

export interface Session {
  environment: string;
  api: string;
  signed_in: boolean;
  username: string | null;
  email: string | null;
  groups: string[];
  subject: string | null;
  /** Seconds since the epoch, as the following two. */
  expires_at: number | null;
  signed_in_at: number | null;
  step_up_until: number | null;
  sign_in: "none" | "waiting" | "failed";
  sign_in_error?: string | null;
  version: string;
}

export type Role = "viewer" | "analyst" | "admin";

/** Most rights first. */
const ROLES: Role[] = ["admin", "analyst", "viewer"];

export const SESSION_KEY = ["session"];

type Person = Omit<Session, "environment" | "api" | "signed_in" | "sign_in" | "sign_in_error" | "version">;

const NOBODY: Person = {
  username: null,
  email: null,
  groups: [],
  subject: null,
  expires_at: null,
  signed_in_at: null,
  step_up_until: null,
};

/** Who was signed in last while this page was open. */
let known: Person = NOBODY;

/**
 * When a session ends in the middle of work, the page stays that of the person whose work it is: what they see and typed must not go
 * because a role went. Signing out loads the page anew.
 */
async function readSession(signal: AbortSignal): Promise<Session> {
  const session = { ...known, ...(await api.get<Session>("/console/session", signal)) };
  if (session.signed_in) known = session;
  return session;
}

export function useSession() {
  return useQuery({
    queryKey: SESSION_KEY,
    queryFn: ({ signal }) => readSession(signal),
    refetchInterval: ({ state }) => (state.data?.sign_in === "waiting" ? 1_000 : state.error ? 5_000 : 60_000),
  });
}

export function roleOf(session: Session | undefined): Role | null {
  return ROLES.find((role) => session?.groups.includes(role)) ?? null;
}

/** Whether the person may do what a role may: each role may all that the ones below it may. What is refused, the API decides. */
export function useCan(role: Role): boolean {
  const { data } = useSession();
  const own = roleOf(data);
  return own !== null && ROLES.indexOf(own) <= ROLES.indexOf(role);
}

/** A `heartmapctl` command line for this environment. */
export function useCommand(): (...words: string[]) => string {
  const { data } = useSession();
  return (...words) => {
    const elsewhere = data && data.environment !== "local" ? ["--environment", data.environment] : [];
    return ["heartmapctl", ...words, ...elsewhere].map(quoted).join(" ");
  };
}

/** As a POSIX shell needs it. */
export function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'"'"'`)}'`;
}
