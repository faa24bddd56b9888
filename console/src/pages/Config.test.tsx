import { cleanup, fireEvent, screen, within } from "@testing-library/react";
import { afterEach, expect, test, vi } from "vitest";
import { type Answered, problem, serve, session, show } from "../testing/server";
import Config from "./Config";

afterEach(() => {
  cleanup();
  vi.unstubAllGlobals();
});

const option = { type: "integer", minimum: 0, maximum: 1000, nullable: false, default: 3, description: "It counts." };
const limit = { ...option, minimum: 41, nullable: true, default: null };

/** A configuration that others can change too. */
function service() {
  const versions: object[] = [];
  let config: Record<string, number | null> = { min_cells: 3, min_genes: 200, max_cells_subset: null };
  const change = (body: Record<string, number | null>, by: string) => {
    const changes = Object.entries(body).map(([field, to]) => ({ field, from: config[field], to }));
    config = { ...config, ...body };
    const version = versions.length + 1;
    const changed_at = "2026-11-30T09:00:00Z";
    versions.unshift({ version, changed_by: by, changed_at, request_id: null, restored_from: null, changes });
  };
  const current = (): Answered => ({
    body: { version: versions.length, config, changed_by: "somebody", changed_at: "2026-11-30T09:00:00Z" },
    headers: { etag: `"${versions.length}"` },
  });
  const answers = {
    "GET /api/config": current,
    "GET /api/models": () => ({
      body: { models: [{ options: { min_cells: option, min_genes: option, max_cells_subset: limit } }] },
    }),
    "GET /api/config/versions": () => ({ body: { versions } }),
    "GET /api/users": () => ({ body: { users: [] } }),
    "POST /api/config": (call: { headers: Record<string, string>; body: unknown }) => {
      if (call.headers["If-Match"] !== `"${versions.length}"`) return problem(412, "config_changed");
      const body = call.body as Record<string, number>;
      if ("restore_version" in body) change({ min_cells: 3 }, "ada");
      else change(body, "ada");
      return current();
    },
  };
  return { answers, change };
}

function posted(calls: ReturnType<typeof serve>) {
  return calls.filter((call) => call.method === "POST").map(({ headers, body }) => [headers["If-Match"], body]);
}

async function type(field: string, text: string) {
  fireEvent.change(await screen.findByLabelText(field), { target: { value: text } });
}

test("only what was changed is sent, for the version that was seen", async () => {
  const { answers } = service();
  const calls = serve(answers);
  show(<Config />);
  await type("min_genes", "300");
  await type("min_cells", "3");
  fireEvent.click(screen.getByRole("button", { name: "Review the change" }));
  const dialog = await screen.findByRole("dialog");
  expect(within(dialog).getByRole("row", { name: "min_genes 200 300" })).toBeTruthy();
  fireEvent.click(within(dialog).getByRole("button", { name: "Save" }));
  await screen.findByText(/Saved as version 1/);
  expect(posted(calls)).toEqual([['"0"', { min_genes: 300 }]]);
});

test("when somebody was faster, what they changed is shown and what was typed stays", async () => {
  const { answers, change } = service();
  const calls = serve(answers);
  show(<Config />);
  await type("min_genes", "300");
  fireEvent.click(screen.getByRole("button", { name: "Review the change" }));
  change({ min_cells: 9 }, "somebody");
  let dialog = await screen.findByRole("dialog");
  fireEvent.click(within(dialog).getByRole("button", { name: "Save" }));
  dialog = await screen.findByRole("dialog");
  await within(dialog).findByText(/became version 1 while you were editing version 0/);
  expect(within(dialog).getByRole("row", { name: "min_cells 3 9" })).toBeTruthy();
  expect(within(dialog).getByRole("button", { name: "Save" })).toHaveProperty("disabled", true);
  fireEvent.click(within(dialog).getByRole("button", { name: "Go on with version 1" }));
  fireEvent.click(within(dialog).getByRole("button", { name: "Save" }));
  await screen.findByText(/Saved as version 2/);
  expect(posted(calls)).toEqual([
    ['"0"', { min_genes: 300 }],
    ['"1"', { min_genes: 300 }],
  ]);
});

test("what is out of range is said, and not sent", async () => {
  serve(service().answers);
  show(<Config />);
  await type("min_genes", "5000");
  expect(screen.getByText("Write a whole number from 0 to 1,000.")).toBeTruthy();
  expect(screen.getByText("To correct: min_genes.")).toBeTruthy();
  expect(screen.getByRole("button", { name: "Review the changes" })).toHaveProperty("disabled", true);
});

test("a roll back says what it changes", async () => {
  const { answers, change } = service();
  change({ min_cells: 9 }, "somebody");
  const calls = serve(answers);
  show(<Config />);
  fireEvent.click(await screen.findByRole("button", { name: "Roll back to version 0" }));
  const dialog = await screen.findByRole("dialog");
  expect(within(dialog).getByRole("row", { name: "min_cells 9 3" })).toBeTruthy();
  fireEvent.click(within(dialog).getByRole("button", { name: "Roll back" }));
  await screen.findByText(/Version 2 has the values of version 0/);
  expect(posted(calls)).toEqual([['"1"', { restore_version: 0 }]]);
});

test("who may not change it sees the values and the history, and nothing to change them with", async () => {
  const { answers, change } = service();
  change({ min_cells: 9 }, "somebody");
  const calls = serve(answers, session({ groups: ["viewer"] }));
  show(<Config />);
  const values = within(await screen.findByRole("table", { name: "Values" }));
  expect(values.getByText("min_cells")).toBeTruthy();
  await screen.findByRole("table", { name: "Versions of the configuration" });
  expect(screen.queryByRole("textbox")).toBeNull();
  expect(screen.queryByRole("button", { name: /Roll back/ })).toBeNull();
  expect(calls.map((call) => call.path)).not.toContain("/api/users");
});
