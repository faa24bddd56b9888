/**
 * Calls of the console's own server: `/api/…` is the environment's API, which it passes on with the session's credential, and
 * `/console/…` its own. The page key proves that this page was started from the terminal; it is no credential of the API.
 */
import { isIdle } from "./idle";
import type { components } from "./openapi";
import { mayAsk, needOf, renewed } from "./renewal";

type Schemas = components["schemas"];
export type Analysis = Schemas["Analysis"];
export type Overview = Schemas["Overview"];
export type Upload = Schemas["Upload"];
export type UploadOverview = Schemas["UploadOverview"];
export type Model = Schemas["Model"];
export type Configuration = Schemas["Configuration"];
export type Version = Schemas["Version"];
export type Estimate = Schemas["Estimate"];
export type ResultFile = Omit<Schemas["ResultFile"], "url">;

export const KEY_NAME = "heartmap-console-key";
const KEY_HEADER = "X-HeartMAP-Console";

/** A refused or failed call: RFC 9457's members, and what the console shows beside them. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    readonly detail: string,
    readonly more: {
      reason?: string;
      requestId?: string;
      retryAfter?: number;
      errors?: { field: string; rule: string }[];
    } = {},
  ) {
    super(detail);
    this.name = "ApiError";
  }
}

export interface Answer<T> {
  body: T;
  etag: string | null;
  status: number;
}

interface Options {
  body?: unknown;
  headers?: Record<string, string>;
  signal?: AbortSignal;
}

/** What every call carries. */
export function pageHeaders(): Record<string, string> {
  return { [KEY_HEADER]: localStorage.getItem(KEY_NAME) ?? "" };
}

function parsed(text: string) {
  try {
    return JSON.parse(text) ?? {};
  } catch {
    return {};
  }
}

export function refusal(status: number, text: string, header: (name: string) => string | null): ApiError {
  const problem = parsed(text);
  const retryAfter = Number(header("retry-after"));
  return new ApiError(
    status,
    typeof problem.code === "string" ? problem.code : `http_${status}`,
    problem.detail || problem.title || `The answer was ${status}.`,
    {
      reason: problem.reason,
      requestId: problem.request_id ?? header("x-request-id") ?? undefined,
      retryAfter: retryAfter > 0 ? retryAfter : undefined,
      errors: Array.isArray(problem.errors) ? problem.errors : undefined,
    },
  );
}

export function nobodyAnswers(): ApiError {
  return new ApiError(
    0,
    "console_gone",
    "The console does not answer. Is `heartmapctl console` still running in the terminal?",
  );
}

async function once(method: string, path: string, options: Options = {}): Promise<Response> {
  const json = options.body !== undefined && !(options.body instanceof Blob);
  const headers: Record<string, string> = { ...pageHeaders(), ...options.headers };
  if (isIdle()) headers["X-HeartMAP-Idle"] = "1";
  if (json) headers["Content-Type"] = "application/json";
  let response: Response;
  try {
    response = await fetch(path, {
      method,
      headers,
      body: json ? JSON.stringify(options.body) : (options.body as Blob | undefined),
      signal: options.signal,
      credentials: "same-origin",
      redirect: "error",
    });
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw nobodyAnswers();
  }
  if (!response.ok) throw refusal(response.status, await response.text(), (name) => response.headers.get(name));
  return response;
}

/**
 * The answer to a request, whatever its body is. Throws ApiError for a refusal and where nothing answers. What was refused for want
 * of a (recent) sign-in waits for one, and is made again.
 */
export async function send(method: string, path: string, options: Options = {}): Promise<Response> {
  const away = isIdle();
  try {
    return await once(method, path, options);
  } catch (error) {
    if (away || /^\/console\/(session|sign-)/.test(path) || !(await signedInAgain(error, method !== "GET")))
      throw error;
    options.signal?.throwIfAborted();
    return once(method, path, options);
  }
}

/** Whether the failure was for want of a sign-in, and there is one now. */
export async function signedInAgain(error: unknown, byThePerson: boolean): Promise<boolean> {
  const need = error instanceof ApiError ? needOf(error.status, error.code, error.more.reason) : null;
  return need !== null && mayAsk(byThePerson) && renewed(need);
}

async function call<T>(method: string, path: string, options?: Options): Promise<Answer<T>> {
  const response = await send(method, path, options);
  const text = await response.text();
  return {
    body: (text ? JSON.parse(text) : undefined) as T,
    etag: response.headers.get("etag"),
    status: response.status,
  };
}

export const api = {
  get: async <T>(path: string, signal?: AbortSignal): Promise<T> => (await call<T>("GET", path, { signal })).body,
  /** With the ETag, for what is changed afterwards. */
  read: <T>(path: string, signal?: AbortSignal) => call<T>("GET", path, { signal }),
  post: async <T>(path: string, body?: unknown, headers?: Record<string, string>): Promise<T> =>
    (await call<T>("POST", path, { body: body ?? {}, headers })).body,
  patch: async <T>(path: string, body: unknown, headers?: Record<string, string>): Promise<T> =>
    (await call<T>("PATCH", path, { body, headers })).body,
  delete: async <T>(path: string): Promise<T> => (await call<T>("DELETE", path)).body,
  /** Bytes, for figures and columns. */
  bytes: async (path: string, signal?: AbortSignal): Promise<ArrayBuffer> =>
    (await send("GET", path, { signal })).arrayBuffer(),
};

/** The part of an address that holds a value from elsewhere. */
export function segment(value: string): string {
  return encodeURIComponent(value);
}
