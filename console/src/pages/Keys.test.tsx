import { cleanup, fireEvent, screen, waitFor, within } from "@testing-library/react";
import { afterEach, expect, test, vi } from "vitest";
import { problem, serve, session, show } from "../testing/server";
import Keys from "./Keys";

afterEach(() => {
  cleanup();
  vi.unstubAllGlobals();
});

const SECRET = "hm_dev_01J8ZQ4Y7M3W5X9K2B6C1D0NEW_c2VjcmV0";
const record = {
  key_id: "01J8ZQ4Y7M3W5X9K2B6C1D0EFG",
  name: "nightly",
  principal: "program:nightly",
  scopes: ["analyses:read"],
  source_ranges: [],
  signed: false,
  created_at: 1_790_000_000,
  created_by: "subject-of-ada",
  expires_at: 4_000_000_000,
  revoked_at: null,
  replaced_by: null,
  last_used_at: null,
};
const lists = {
  "GET /api/keys": () => ({ body: { keys: [record] } }),
  "GET /api/users": () => ({ body: { users: [] } }),
};

async function ask(name: string, ...scopes: string[]) {
  fireEvent.click(await screen.findByRole("button", { name: "Create a key" }));
  const dialog = within(await screen.findByRole("dialog"));
  fireEvent.change(dialog.getByLabelText("Name of the program"), { target: { value: name } });
  for (const scope of scopes) fireEvent.click(dialog.getByText(scope));
  return dialog;
}

test("a new key is shown once, and is nowhere when the dialog is closed", async () => {
  const made = { ...record, key_id: "01J8ZQ4Y7M3W5X9K2B6C1D0NEW", key: SECRET };
  const calls = serve({ ...lists, "POST /api/keys": () => ({ status: 201, body: made }) });
  const { queries } = show(<Keys />);
  const dialog = await ask("nightly", "models:read", "analyses:read");
  fireEvent.click(dialog.getByRole("button", { name: "Create the key" }));
  await screen.findByText(SECRET);
  expect(calls.find((call) => call.method === "POST")?.body).toEqual({
    name: "nightly",
    scopes: ["analyses:read", "models:read"],
    expires_in_days: 90,
  });
  const cached = () =>
    JSON.stringify([
      queries
        .getQueryCache()
        .getAll()
        .map((query) => query.state),
      queries
        .getMutationCache()
        .getAll()
        .map((mutation) => mutation.state),
      { ...localStorage },
      { ...sessionStorage },
    ]);
  expect(cached()).not.toContain("c2VjcmV0");
  fireEvent.keyDown(screen.getByRole("dialog"), { key: "Escape" });
  expect(screen.getByText(SECRET)).toBeTruthy();
  fireEvent.click(screen.getByRole("button", { name: "I have stored it" }));
  await waitFor(() => expect(screen.queryByRole("dialog")).toBeNull());
  expect(document.body.innerHTML).not.toContain("c2VjcmV0");
  expect(cached()).not.toContain("c2VjcmV0");
});

test("what the service refuses leaves the form as it was typed", async () => {
  serve({ ...lists, "POST /api/keys": () => problem(503, "unavailable") });
  show(<Keys />);
  const dialog = await ask("nightly", "models:read");
  fireEvent.click(dialog.getByRole("button", { name: "Create the key" }));
  await dialog.findByText("It is unavailable.");
  expect(dialog.getByLabelText("Name of the program")).toHaveProperty("value", "nightly");
  expect(dialog.getByRole("checkbox", { name: /models:read/ })).toHaveProperty("checked", true);
});

test("a key that writes the configuration is not asked for without a signing key", async () => {
  const calls = serve(lists);
  show(<Keys />);
  const dialog = await ask("settings", "config:write");
  fireEvent.click(dialog.getByRole("button", { name: "Create the key" }));
  expect(await dialog.findByText(/config:write takes signed calls only/)).toBeTruthy();
  expect(calls.some((call) => call.method === "POST")).toBe(false);
});

test("a key is revoked when it was confirmed, and not before", async () => {
  const calls = serve({ ...lists, [`DELETE /api/keys/${record.key_id}`]: () => ({ body: record }) });
  show(<Keys />);
  fireEvent.click(await screen.findByRole("button", { name: `Revoke ${record.key_id}` }));
  const dialog = within(await screen.findByRole("dialog"));
  expect(calls.some((call) => call.method === "DELETE")).toBe(false);
  fireEvent.click(dialog.getByRole("button", { name: "Revoke for ever" }));
  await screen.findByText(/is revoked/);
  expect(calls.some((call) => call.method === "DELETE")).toBe(true);
});

test("who is no administrator is told so, and nothing is asked of the service", async () => {
  const calls = serve(lists, session({ groups: ["analyst"] }));
  show(<Keys />);
  await screen.findByText(/This page is for administrators/);
  expect(calls).toEqual([]);
});
