import { Link } from "react-router";
import { roleOf, useSession } from "../lib/session";
import { Empty, Page } from "../ui";

/** Where somebody came by an address that their role does not open. */
export function NotForYou({ title }: { title: string }) {
  const { data: session } = useSession();
  return (
    <Page title={title}>
      <Empty>
        <p>
          This page is for administrators. You are signed in as {session?.email ?? session?.username}, with{" "}
          {roleOf(session) ? `the role ${roleOf(session)}` : "no role"}.
        </p>
        <Link to="/analyses">To the analyses</Link>
      </Empty>
    </Page>
  );
}
