import { cleanup, fireEvent, screen, waitFor, within } from "@testing-library/react";
import { useLocation } from "react-router";
import { afterEach, expect, test, vi } from "vitest";
import { type Call, serve, show } from "../testing/server";
import Activity from "./Activity";

// It draws, which needs a browser: tests/e2e looks at it there.
vi.mock("./activity/Chart", () => ({ Chart: () => null }));

afterEach(() => {
  cleanup();
  vi.unstubAllGlobals();
});

function record(number: number, more: object = {}) {
  return {
    time: new Date(Date.now() - number * 60_000).toISOString(),
    stream: "authorizer",
    event: "authorization",
    decision: "deny",
    reason: "not_permitted",
    request_id: `request-${number}`,
    source_ip: "192.0.2.7",
    method: "POST",
    route: "/analyses/{analysis_id}",
    principal: "subject-of-ben",
    key_id: null,
    ...more,
  };
}

function Address() {
  return <output>{useLocation().search}</output>;
}

function page(audit: (call: Call) => object, address = "/activity") {
  const calls = serve({
    "GET /api/audit": (call) => ({ body: audit(call) }),
    "GET /api/users": () => ({
      body: { users: [{ username: "ben", email: "ben@example.org", subject: "subject-of-ben", groups: [] }] },
    }),
  });
  show(
    <>
      <Activity />
      <Address />
    </>,
    address,
  );
  return () => calls.filter((call) => call.path === "/api/audit");
}

test("the address holds the search, and a value narrows it", async () => {
  const audit = page(() => ({ records: [record(1)] }), "/activity?since=1h&decision=deny");
  fireEvent.click(await screen.findByRole("link", { name: "Only Reason not_permitted" }));
  await waitFor(() =>
    expect(screen.getByText(/^\?since/).textContent).toBe("?since=1h&decision=deny&reason=not_permitted"),
  );
  await waitFor(() => expect(audit()).toHaveLength(2));
  expect(audit().map(({ query }) => [query.get("decision"), query.get("reason")])).toEqual([
    ["deny", null],
    ["deny", "not_permitted"],
  ]);
  fireEvent.click(screen.getByRole("link", { name: "Take away Decision deny" }));
  await waitFor(() => expect(screen.getByText(/^\?since/).textContent).toBe("?since=1h&reason=not_permitted"));
});

test("it reads page after page, stops, and says how far back it came", async () => {
  let pages = 0;
  const audit = page(() => {
    pages += 1;
    return { records: [record(pages)], next_cursor: `${pages}` };
  });
  expect(
    await screen.findByText(/Read the newest 5 records, back to .*Older ones are neither shown nor counted/),
  ).toBeTruthy();
  expect(audit().map(({ query }) => query.get("cursor"))).toEqual([null, "1", "2", "3", "4"]);
  fireEvent.click(screen.getByRole("button", { name: "Read further back" }));
  expect(await screen.findByText(/Read the newest 10 records/)).toBeTruthy();
});

test("readings of the trail are left out, said to be, and shown when they are wanted", async () => {
  page(() => ({ records: [record(1), record(2, { route: "/audit" }), record(3, { stream: "audit", route: null })] }));
  expect(await screen.findByText(/Read all 3 records since .* 2 readings of the trail are left out/)).toBeTruthy();
  const rows = () => within(screen.getByRole("table", { name: "Records" })).getAllByRole("row").length - 1;
  expect(rows()).toBe(1);
  fireEvent.click(screen.getByRole("checkbox", { name: /Also readings/ }));
  await waitFor(() => expect(rows()).toBe(3));
});

test("somebody is found by the address, and named by it", async () => {
  const audit = page(() => ({ records: [record(1)] }));
  expect((await screen.findAllByText("ben@example.org")).length).toBeGreaterThan(0);
  fireEvent.change(screen.getByLabelText("Principal"), { target: { value: "Ben@example.org" } });
  fireEvent.submit(screen.getByRole("button", { name: "Search" }).closest("form") as HTMLFormElement);
  await waitFor(() => expect(audit().at(-1)?.query.get("principal")).toBe("subject-of-ben"));
});

test("a record of the service says what was done to what, and either narrows the search", async () => {
  const read = { stream: "service", action: "results_read", resource: "01JD0000000000000000000000", files: 3 };
  const audit = page(() => ({ records: [record(1, read), record(2, { action: null })] }));
  const table = within(await screen.findByRole("table", { name: "Records" }));
  expect(table.getByRole("link", { name: "Only Action results_read" })).toBeTruthy();
  // The route is said where nothing says what was done.
  expect(table.getAllByRole("link", { name: /^Only Route/ })).toHaveLength(1);
  fireEvent.click(table.getByRole("link", { name: "Only Resource 01JD0000000000000000000000" }));
  await waitFor(() => expect(audit().at(-1)?.query.get("resource")).toBe("01JD0000000000000000000000"));
});

test("a record says everything, and what its reason means, as text", async () => {
  const name = "<img src=x onerror=alert(1)>";
  page(() => ({ records: [record(1, { name })] }));
  fireEvent.click(await screen.findByRole("button", { name: /, details$/ }));
  const dialog = within(await screen.findByRole("dialog"));
  expect(dialog.getByText("None of the caller's groups or scopes opens the route.")).toBeTruthy();
  expect(dialog.getByText(name)).toBeTruthy();
  expect(dialog.getByRole("link", { name: "Only request_id request-1" })).toBeTruthy();
});
