import { cleanup, fireEvent, screen, within } from "@testing-library/react";
import { afterEach, expect, test, vi } from "vitest";
import { type Call, problem, serve, show } from "../testing/server";
import Users from "./Users";

afterEach(() => {
  cleanup();
  vi.unstubAllGlobals();
});

function user(name: string, more: object = {}) {
  return {
    username: `${name}@example.org`,
    subject: `subject-of-${name}`,
    email: `${name}@example.org`,
    groups: ["analyst"],
    enabled: true,
    status: "CONFIRMED",
    mfa: true,
    created_at: 1_790_000_000,
    changed_at: 1_790_000_000,
    ...more,
  };
}

const people = [
  user("ada", { groups: ["admin"] }),
  user("ben"),
  user("cai", { enabled: false, mfa: false }),
  user("dee", { status: "EXTERNAL_PROVIDER", mfa: null }),
];
const list = { "GET /api/users": () => ({ body: { users: people } }) };

function sent(calls: Call[]) {
  return calls.filter((call) => call.method !== "GET").map(({ method, body }) => [method, body]);
}

async function buttonsOf(name: string) {
  const row = (await screen.findByText(`${name}@example.org`)).closest("tr");
  return within(row as HTMLElement)
    .queryAllByRole("button")
    .map((button) => button.textContent);
}

test("only what the service would do is offered", async () => {
  serve(list);
  show(<Users />);
  expect(await buttonsOf("ada")).toEqual(["Reset factor"]);
  expect(await buttonsOf("ben")).toEqual(["Role", "Disable", "Reset factor"]);
  expect(await buttonsOf("cai")).toEqual(["Role", "Enable"]);
  expect(await buttonsOf("dee")).toEqual(["Role", "Disable"]);
});

test.each([
  ["Disable ben@example.org", "Disable", { username: "ben@example.org", enabled: false }],
  ["Enable cai@example.org", "Enable", { username: "cai@example.org", enabled: true }],
  [
    "Reset factor: the second factor of ben@example.org",
    "Reset the second factor",
    { username: "ben@example.org", reset_mfa: true },
  ],
])("%s asks first, and then does that alone", async (button, action, body) => {
  const calls = serve({ ...list, "PATCH /api/users": () => ({ body: people[1] }) });
  show(<Users />);
  fireEvent.click(await screen.findByRole("button", { name: button }));
  const dialog = within(await screen.findByRole("dialog"));
  expect(sent(calls)).toEqual([]);
  fireEvent.click(dialog.getByRole("button", { name: action }));
  await vi.waitFor(() => expect(sent(calls)).toEqual([["PATCH", body]]));
});

test("a role can be taken away", async () => {
  const calls = serve({ ...list, "PATCH /api/users": () => ({ body: people[1] }) });
  show(<Users />);
  fireEvent.click(await screen.findByRole("button", { name: "Change the role of ben@example.org" }));
  const dialog = within(await screen.findByRole("dialog"));
  fireEvent.change(dialog.getByLabelText("Role"), { target: { value: "none" } });
  fireEvent.click(dialog.getByRole("button", { name: "Change the role" }));
  await screen.findByText("ben@example.org has the role No role now.");
  expect(sent(calls)).toEqual([["PATCH", { username: "ben@example.org", group: null }]]);
});

test("an invitation that is refused stays as it was typed", async () => {
  const calls = serve({ ...list, "POST /api/users": () => problem(409, "user_exists") });
  show(<Users />);
  fireEvent.click(await screen.findByRole("button", { name: "Invite somebody" }));
  const dialog = within(await screen.findByRole("dialog"));
  fireEvent.change(dialog.getByLabelText("E-mail address"), { target: { value: "ben@example.org" } });
  fireEvent.change(dialog.getByLabelText("Role"), { target: { value: "analyst" } });
  fireEvent.click(dialog.getByRole("button", { name: "Invite" }));
  await dialog.findByText("It is user_exists.");
  expect(dialog.getByLabelText("E-mail address")).toHaveProperty("value", "ben@example.org");
  expect(sent(calls)).toEqual([["POST", { email: "ben@example.org", group: "analyst" }]]);
});

test("a name is text, whatever it is", async () => {
  const name = "<img src=x onerror=alert(1)>";
  serve({ "GET /api/users": () => ({ body: { users: [user("ben", { email: name })] } }) });
  show(<Users />);
  expect(await screen.findByText(name)).toBeTruthy();
  expect(document.querySelector("table img")).toBeNull();
});
