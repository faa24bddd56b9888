/** The people of the environment. Their routes are for administrators. */
import { useQuery } from "@tanstack/react-query";
import { api } from "./api";
import { type Role, useCan, useSession } from "./session";

export interface User {
  username: string;
  subject: string;
  email: string | null;
  groups: string[];
  enabled: boolean;
  /** Cognito's word, such as CONFIRMED. */
  status: string;
  /** Whether a second factor is enrolled; null where that is not known. */
  mfa: boolean | null;
  created_at: string | number;
  changed_at: string | number;
}

export interface People {
  users: User[];
  /** Whether there are more than were read. */
  more: boolean;
}

export interface Change {
  group?: Role | null;
  enabled?: boolean;
  reset_mfa?: true;
}

export const USERS = ["users"];
const PAGES = 20;
/** Cognito gives no more at a time. */
const MOST = 60;

export const ROLES: readonly { value: Role; label: string; may: string }[] = [
  { value: "viewer", label: "Viewer", may: "sees the configuration, and the analyses that are shared" },
  { value: "analyst", label: "Analyst", may: "also uploads data sets and runs analyses" },
  {
    value: "admin",
    label: "Administrator",
    may: "also changes the configuration, people and keys, and sees everything",
  },
];

/** The people, page by page, so that a search finds everybody. */
export async function readPeople(signal?: AbortSignal): Promise<People> {
  const users: User[] = [];
  let cursor: string | undefined;
  for (let page = 0; page < PAGES; page += 1) {
    const after = cursor === undefined ? "" : `&cursor=${encodeURIComponent(cursor)}`;
    const answer = await api.get<{ users: User[]; next_cursor?: string }>(`/api/users?limit=${MOST}${after}`, signal);
    users.push(...answer.users);
    cursor = answer.next_cursor;
    if (cursor === undefined) return { users, more: false };
  }
  return { users, more: true };
}

export function usePeople() {
  return useQuery({
    queryKey: USERS,
    queryFn: ({ signal }) => readPeople(signal),
    enabled: useCan("admin"),
    staleTime: 30_000,
  });
}

/** How to name a principal. Administrators read who people are; everybody else reads their subject. */
export function usePrincipalName(): (principal: string) => string {
  const { data: session } = useSession();
  const { data: people } = usePeople();
  return (principal) => {
    if (principal === session?.subject) return "you";
    const found = people?.users.find((user) => user.subject === principal);
    return found ? nameOf(found) : principal;
  };
}

export function nameOf(user: User): string {
  return user.email ?? user.username;
}

/** The role that counts: of several the one with the most rights. */
export function roleOfUser(user: User): Role | null {
  const roles: Role[] = ["admin", "analyst", "viewer"];
  return roles.find((role) => user.groups.includes(role)) ?? null;
}

export function roleLabel(role: Role | null): string {
  return ROLES.find((each) => each.value === role)?.label ?? "No role";
}

/** Signs in with an identity provider of their own, which looks after the second factor too. */
export const EXTERNAL = "EXTERNAL_PROVIDER";

const STATUSES: Record<string, string> = {
  CONFIRMED: "has signed in",
  FORCE_CHANGE_PASSWORD: "invited, has not signed in yet",
  RESET_REQUIRED: "has to set a new password",
  UNCONFIRMED: "has not confirmed the address",
  ARCHIVED: "archived",
  COMPROMISED: "stopped by Cognito: compromised",
  [EXTERNAL]: "signs in with another provider",
  UNKNOWN: "not known",
};

/** Cognito's word in ours; an unknown one as it is. */
export function statusText(status: string): string {
  return STATUSES[status] ?? status;
}

export function factorText(mfa: boolean | null): string {
  if (mfa === null) return "not known";
  return mfa ? "enrolled" : "none";
}

/** As much of an address as can be told without sending to it. */
export function isAddress(text: string): boolean {
  return text.length <= 254 && /^[^\s@]{1,64}@[^\s@]+\.[^\s@.]+$/.test(text);
}
