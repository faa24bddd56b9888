import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { api } from "./api";
import { asked, settle } from "./renewal";

const EXPIRED = { status: 401, body: { code: "not_signed_in", detail: "Sign in." } };
const TOO_OLD = { status: 403, body: { code: "forbidden", reason: "sign_in_too_old", detail: "Too old." } };
const FORBIDDEN = { status: 403, body: { code: "forbidden", detail: "No." } };
const DONE = { status: 200, body: { done: true } };

let answers: { status: number; body: unknown }[] = [];
const calls: [string, string, unknown][] = [];

beforeEach(() => {
  // Node's own, whose storage is that of a file.
  vi.stubGlobal("localStorage", { getItem: () => "key" });
  vi.stubGlobal("fetch", async (path: string, { method, body }: RequestInit) => {
    calls.push([method ?? "GET", path, body]);
    const { status, body: answer } = answers.shift() ?? DONE;
    return new Response(JSON.stringify(answer), { status });
  });
});

afterEach(() => {
  settle(true);
  answers = [];
  calls.length = 0;
  vi.unstubAllGlobals();
});

const asking = () => vi.waitFor(() => expect(asked.get()).not.toBeNull());

describe("a call that was refused for want of a sign-in", () => {
  it.each([
    ["expired", EXPIRED],
    ["step_up", TOO_OLD],
  ])("waits (%s), and is made again with what it carried", async (need, refused) => {
    answers = [refused, DONE];
    const call = api.post("/api/analyses", { typed: 1 }, { "Idempotency-Key": "k" });
    await asking();
    expect(asked.get()).toBe(need);
    expect(calls).toHaveLength(1);
    settle(true);
    await expect(call).resolves.toEqual({ done: true });
    expect(calls[1]).toEqual(calls[0]);
    expect(asked.get()).toBeNull();
  });

  it("fails as it did after not now", async () => {
    answers = [EXPIRED];
    const call = api.post("/api/analyses", {});
    await asking();
    settle(false);
    await expect(call).rejects.toMatchObject({ status: 401, code: "not_signed_in" });
    expect(calls).toHaveLength(1);
  });

  it("asks once with others", async () => {
    answers = [EXPIRED, EXPIRED];
    const both = Promise.all([api.get("/api/uploads"), api.get("/api/analyses")]);
    await vi.waitFor(() => expect(calls).toHaveLength(2));
    await asking();
    settle(true);
    await both;
    expect(calls).toHaveLength(4);
  });

  it("does not ask again for what the page reads by itself after not now, but for what the person does", async () => {
    answers = [EXPIRED, EXPIRED, EXPIRED];
    const first = api.get("/api/analyses");
    await asking();
    settle(false);
    await expect(first).rejects.toThrow();
    await expect(api.get("/api/analyses")).rejects.toThrow();
    expect(asked.get()).toBeNull();
    const done = api.delete("/api/analyses/x");
    await asking();
    settle(true);
    await done;
  });

  it("is made again once: a second refusal is the answer", async () => {
    answers = [EXPIRED, EXPIRED];
    const call = api.post("/api/analyses", {});
    await asking();
    settle(true);
    await expect(call).rejects.toMatchObject({ status: 401 });
    expect(calls).toHaveLength(2);
  });

  it("is not the console's own question who is signed in", async () => {
    answers = [EXPIRED];
    await expect(api.get("/console/session")).rejects.toMatchObject({ status: 401 });
    expect(asked.get()).toBeNull();
  });
});

it("another refusal is the answer at once", async () => {
  answers = [FORBIDDEN];
  await expect(api.post("/api/config", {})).rejects.toMatchObject({ status: 403, code: "forbidden" });
  expect(asked.get()).toBeNull();
});
