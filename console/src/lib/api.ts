/**
 * Calls of the console's own server: `/api/…` is the environment's API, which it passes on with the session's credential, and
 * `/console/…` its own. The page key proves that this page was started from the terminal; it is no credential of the API.
 */
import { isIdle } from "./idle";
import type { components } from "./openapi";

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

function pageKey(): string {
  return localStorage.getItem(KEY_NAME) ?? "";
}

async function refusal(response: Response): Promise<ApiError> {
  const problem = await response.json().catch(() => ({}));
  const retryAfter = Number(response.headers.get("retry-after"));
  return new ApiError(
    response.status,
    typeof problem.code === "string" ? problem.code : `http_${response.status}`,
    problem.detail || problem.title || `The answer was ${response.status}.`,
    {
      reason: problem.reason,
      requestId: problem.request_id ?? response.headers.get("x-request-id") ?? undefined,
      retryAfter: retryAfter > 0 ? retryAfter : undefined,
      errors: Array.isArray(problem.errors) ? problem.errors : undefined,
    },
  );
}

/** The answer to a request, whatever its body is. Throws ApiError for a refusal and where nothing answers. */
export async function send(method: string, path: string, options: Options = {}): Promise<Response> {
  const json = options.body !== undefined && !(options.body instanceof Blob);
  const headers: Record<string, string> = { [KEY_HEADER]: pageKey(), ...options.headers };
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
    throw new ApiError(
      0,
      "console_gone",
      "The console does not answer. Is `heartmapctl console` still running in the terminal?",
    );
  }
  if (!response.ok) throw await refusal(response);
  return response;
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
