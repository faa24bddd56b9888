/** For tests: a page with its libraries, and a server that is a function. */
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { configure, render } from "@testing-library/react";
import type { ReactElement } from "react";
import { MemoryRouter } from "react-router";
import { vi } from "vitest";
import type { Session } from "../lib/session";

// jsdom has none, and react-aria asks for it; the ids of a test need no escapes.
globalThis.CSS ??= { escape: String } as unknown as typeof CSS;
// A busy machine is slow, and no failure.
configure({ asyncUtilTimeout: 10_000 });
vi.setConfig({ testTimeout: 60_000 });

export interface Call {
  method: string;
  path: string;
  query: URLSearchParams;
  headers: Record<string, string>;
  body: unknown;
}

export interface Answered {
  status?: number;
  body: unknown;
  headers?: Record<string, string>;
}

export function session(more: Partial<Session> = {}): Session {
  return {
    environment: "dev",
    api: "https://api.example.org",
    signed_in: true,
    username: "ada@example.org",
    email: "ada@example.org",
    groups: ["admin"],
    subject: "subject-of-ada",
    expires_at: Date.now() / 1000 + 3600,
    signed_in_at: Date.now() / 1000,
    step_up_until: Date.now() / 1000 + 900,
    sign_in: "none",
    version: "1",
    ...more,
  };
}

export function problem(status: number, code: string, more: object = {}): Answered {
  return { status, body: { status, code, title: code, detail: `It is ${code}.`, request_id: "request-1", ...more } };
}

/** Answers each call by `METHOD path`; what nobody described is a failure of the test. Returns the calls. */
export function serve(answers: Record<string, (call: Call) => Answered>, who: Session = session()): Call[] {
  const calls: Call[] = [];
  vi.stubGlobal("fetch", async (path: string, init: RequestInit = {}) => {
    const url = new URL(path, "http://127.0.0.1");
    const method = init.method ?? "GET";
    const call: Call = {
      method,
      path: url.pathname,
      query: url.searchParams,
      headers: init.headers as Record<string, string>,
      body: typeof init.body === "string" ? JSON.parse(init.body) : undefined,
    };
    if (url.pathname === "/console/session") return new Response(JSON.stringify(who));
    calls.push(call);
    const {
      status = 200,
      body,
      headers,
    } = answers[`${method} ${url.pathname}`]?.(call) ?? problem(404, "not_described");
    return new Response(JSON.stringify(body), { status, headers });
  });
  return calls;
}

export function show(page: ReactElement, address = "/") {
  const queries = new QueryClient({ defaultOptions: { queries: { retry: false } } });
  const shown = render(
    <QueryClientProvider client={queries}>
      <MemoryRouter initialEntries={[address]}>{page}</MemoryRouter>
    </QueryClientProvider>,
  );
  return { ...shown, queries };
}
