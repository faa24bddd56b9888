import { Outlet } from "react-router";
import { useSession } from "../lib/session";
import { Page } from "../ui";

/** What stands behind it is for people who are signed in. */
export function Gate() {
  const { data: session } = useSession();
  return session?.signed_in ? <Outlet /> : <Page title="Sign in">Sign in first.</Page>;
}

export function SignOut() {
  return null;
}
