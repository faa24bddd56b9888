import { lazy, Suspense, useEffect, useRef } from "react";
import { Link, Navigate, NavLink, Route, Routes, useLocation } from "react-router";
import { roleOf, useCan, useSession } from "./lib/session";
import { useStore } from "./lib/store";
import { type Transfer, transfer } from "./lib/upload";
import { Analyses } from "./pages/Analyses";
import { Gate, Renewal, SignedOutBar, SignOut } from "./pages/SignIn";
import { CliCommand, Empty, Loading, Page, Problem } from "./ui";
import { Boundary } from "./ui/Boundary";
import { ThemeSwitch } from "./ui/ThemeSwitch";

// Each page is fetched when it is opened: the plotting library is large, and most pages do without it.
const NewAnalysis = lazy(() => import("./pages/NewAnalysis"));
const Uploads = lazy(() => import("./pages/Uploads"));
const Analysis = lazy(() => import("./pages/Analysis"));
const Compare = lazy(() => import("./pages/Compare"));
const Config = lazy(() => import("./pages/Config"));
const Users = lazy(() => import("./pages/Users"));
const Keys = lazy(() => import("./pages/Keys"));
const Activity = lazy(() => import("./pages/Activity"));
const Status = lazy(() => import("./pages/Status"));

function Navigation() {
  const analyst = useCan("analyst");
  const admin = useCan("admin");
  const viewer = useCan("viewer");
  const links: [string, string, boolean][] = [
    ["/analyses", "Analyses", viewer],
    ["/new", "New analysis", analyst],
    ["/uploads", "Data sets", analyst],
    ["/config", "Configuration", viewer],
    ["/users", "Users", admin],
    ["/keys", "API keys", admin],
    ["/activity", "Activity", admin],
    ["/status", "Status", true],
  ];
  return (
    <nav aria-label="Pages">
      <ul>
        {links
          .filter(([, , shown]) => shown)
          .map(([to, label]) => (
            <li key={to}>
              <NavLink to={to}>{label}</NavLink>
            </li>
          ))}
      </ul>
    </nav>
  );
}

/** An upload goes on while other pages are open. */
function UploadNews() {
  const sent = useStore(transfer);
  const { pathname } = useLocation();
  if (!sent || pathname === "/new" || sent.state === "looking" || sent.state === "refused") return null;
  const how: Partial<Record<Transfer["state"], string>> = { paused: "paused", failed: "stopped", sent: "uploaded" };
  return (
    <p className="upload-news">
      <Link to="/new">{sent.file.name}</Link>:{" "}
      {how[sent.state] ?? `${Math.floor((sent.done / sent.file.size) * 100)} %`}
    </p>
  );
}

function Who() {
  const { data: session } = useSession();
  if (!session) return null;
  return (
    <div className="who">
      <span>
        <span className="muted">Environment </span>
        <strong>{session.environment}</strong>
      </span>
      {session.signed_in && (
        <span>
          {session.email ?? session.username} <span className="muted">({roleOf(session) ?? "no role"})</span>
        </span>
      )}
      <div className="row">
        {session.signed_in && <SignOut />}
        <ThemeSwitch />
      </div>
    </div>
  );
}

/** After a change of page the reader begins at its heading, as after a page that was loaded. */
function useFocusOnChange() {
  const { pathname } = useLocation();
  const first = useRef(true);
  const target = useRef<HTMLElement>(null);
  // biome-ignore lint/correctness/useExhaustiveDependencies: the path is what changes
  useEffect(() => {
    if (first.current) first.current = false;
    else target.current?.focus();
  }, [pathname]);
  return target;
}

export function App() {
  const main = useFocusOnChange();
  const { data: session, isPending, error } = useSession();
  const { pathname } = useLocation();
  return (
    <div className="shell">
      <a className="skip" href="#main">
        To the content
      </a>
      <header className="sidebar">
        <NavLink className="brand" to="/analyses">
          <img src="/icon.svg" alt="" width="24" height="24" />
          HeartMAP
        </NavLink>
        <Navigation />
        <UploadNews />
        <Who />
      </header>
      <main id="main" ref={main} tabIndex={-1}>
        {isPending && <Loading what="the session" />}
        {error && !session && (
          <Page title="The console">
            <Problem error={error} />
            <p>The address that the command prints opens the console once, within ten minutes:</p>
            <CliCommand words={["console"]} />
          </Page>
        )}
        {/* What is on the page stays while the console is away. */}
        {error && session && (
          <div className="signed-out">
            <Problem error={error} />
          </div>
        )}
        <SignedOutBar />
        <Renewal />
        {session && (
          <Boundary of={pathname}>
            <Suspense fallback={<Loading what="the page" />}>
              <Routes>
                <Route path="/status" element={<Status />} />
                <Route element={<Gate />}>
                  <Route path="/" element={<Navigate to="/analyses" replace />} />
                  <Route path="/analyses" element={<Analyses />} />
                  <Route path="/new" element={<NewAnalysis />} />
                  <Route path="/uploads" element={<Uploads />} />
                  <Route path="/analyses/:id" element={<Analysis />} />
                  <Route path="/compare" element={<Compare />} />
                  <Route path="/config" element={<Config />} />
                  <Route path="/users" element={<Users />} />
                  <Route path="/keys" element={<Keys />} />
                  <Route path="/activity" element={<Activity />} />
                </Route>
                <Route
                  path="*"
                  element={
                    <Page title="No such page">
                      <Empty>There is no page at this address.</Empty>
                    </Page>
                  }
                />
              </Routes>
            </Suspense>
          </Boundary>
        )}
      </main>
    </div>
  );
}
