/** The audit trail: a search as the page's address holds it, as the API takes it and as a command line says it. */
import { api } from "./api";

export interface AuditRecord {
  /** RFC 3339. */
  time: string;
  stream?: string;
  decision?: string | null;
  reason?: string | null;
  request_id?: string | null;
  source_ip?: string | null;
  method?: string | null;
  route?: string | null;
  action?: string | null;
  /** The id of what it is about: an upload, an analysis, a key or a person. */
  resource?: string | null;
  principal?: string | null;
  key_id?: string | null;
  [field: string]: unknown;
}

export interface AuditPage {
  records: AuditRecord[];
  next_cursor?: string;
  /** How far back it read, where the service says so. */
  read_back_to?: string;
}

/** What a search narrows by, beside the time. The page's address, the API and the command line name them alike. */
export const FILTERS = [
  "decision",
  "reason",
  "principal",
  "action",
  "resource",
  "method",
  "route",
  "source_ip",
  "key_id",
  "request_id",
  "text",
] as const;
export type Filter = (typeof FILTERS)[number];

export const FILTER_LABELS: Record<Filter, string> = {
  decision: "Decision",
  reason: "Reason",
  principal: "Principal",
  action: "Action",
  resource: "Resource",
  method: "Method",
  route: "Route",
  source_ip: "Source address",
  key_id: "API key",
  request_id: "Request id",
  text: "Text",
};

/** In the order in which they are stacked: most of them are allowed, and stay at the bottom. */
export const DECISIONS = ["allow", "deny", "unauthenticated", "error"] as const;

export const RANGES = [
  { value: "15m", label: "Last 15 minutes" },
  { value: "1h", label: "Last hour" },
  { value: "24h", label: "Last 24 hours" },
  { value: "7d", label: "Last 7 days" },
  { value: "30d", label: "Last 30 days" },
] as const;
const DEFAULT_RANGE = "24h";
const UNITS: Record<string, number> = { m: 60_000, h: 3_600_000, d: 86_400_000 };

export const PAGE_SIZE = 1000;

export interface Search {
  /** How long back, such as 24h, or a moment. */
  since: string;
  /** A moment; empty: now. */
  until: string;
  filters: Partial<Record<Filter, string>>;
}

/** The search that an address holds. What is no moment is left out: anybody can make a link. */
export function searchOf(params: URLSearchParams): Search {
  const since = params.get("since") ?? "";
  const until = params.get("until") ?? "";
  const filters: Search["filters"] = {};
  for (const filter of FILTERS) {
    const value = params.get(filter)?.trim();
    if (value) filters[filter] = value;
  }
  return {
    since: back(since) !== null || isMoment(since) ? since : DEFAULT_RANGE,
    until: isMoment(until) ? until : "",
    filters,
  };
}

/** The address of a search; the range that nobody has to say is not said. */
export function paramsOf(search: Search): URLSearchParams {
  const params = new URLSearchParams();
  if (search.since !== DEFAULT_RANGE) params.set("since", search.since);
  if (search.until) params.set("until", search.until);
  for (const filter of FILTERS) {
    const value = search.filters[filter];
    if (value) params.set(filter, value);
  }
  return params;
}

/** The same search with other values; an empty one takes the filter away. */
export function narrowed(search: Search, more: Partial<Record<Filter | "since" | "until", string>>): Search {
  const { since = search.since, until = search.until, ...filters } = more;
  const all = { ...search.filters, ...filters };
  return { since, until, filters: Object.fromEntries(Object.entries(all).filter(([, value]) => value)) };
}

export interface Span {
  /** Milliseconds, as the other. */
  from: number;
  to: number;
}

export function spanOf(search: Search, now: number): Span {
  const to = search.until ? Date.parse(search.until) : now;
  const length = back(search.since);
  return { from: length === null ? Date.parse(search.since) : to - length, to };
}

export function queryOf(search: Search, span: Span, cursor?: string): string {
  const query = new URLSearchParams({
    since: new Date(span.from).toISOString(),
    until: new Date(span.to).toISOString(),
    limit: String(PAGE_SIZE),
  });
  for (const [filter, value] of Object.entries(search.filters)) query.set(filter, value);
  if (cursor !== undefined) query.set("cursor", cursor);
  return query.toString();
}

export function readAudit(search: Search, span: Span, cursor?: string, signal?: AbortSignal): Promise<AuditPage> {
  return api.get<AuditPage>(`/api/audit?${queryOf(search, span, cursor)}`, signal);
}

/** The words of `heartmapctl audit search` that find the same. */
export function wordsOf(search: Search): string[] {
  const words = ["audit", "search", "--since", search.since];
  if (search.until) words.push("--until", search.until);
  for (const filter of FILTERS) {
    const value = search.filters[filter];
    if (value) words.push(`--${filter.replace("_", "-")}`, value);
  }
  return words;
}

/** The newest first, each once: what is read again while it grows overlaps. */
export function merged(...lists: readonly AuditRecord[][]): AuditRecord[] {
  const known = new Map<string, AuditRecord>();
  for (const record of lists.flat()) known.set(identity(record), record);
  return [...known.values()].sort((a, b) => timeOf(b) - timeOf(a));
}

export function identity(record: AuditRecord): string {
  return JSON.stringify(Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1)));
}

export function timeOf(record: AuditRecord): number {
  return Date.parse(record.time);
}

/** How far back was read: to the beginning of the span where there is no further page. */
export function readBackTo(span: Span, pages: readonly AuditPage[]): number {
  const last = pages.at(-1);
  if (!last) return span.to;
  if (last.next_cursor === undefined) return span.from;
  if (last.read_back_to) return Math.max(span.from, Date.parse(last.read_back_to));
  return pages.flatMap((page) => page.records).reduce((oldest, record) => Math.min(oldest, timeOf(record)), span.to);
}

function back(text: string): number | null {
  const match = /^(\d{1,4})([mhd])$/.exec(text);
  const unit = UNITS[match?.[2] ?? ""];
  return match && unit ? Number(match[1]) * unit : null;
}

function isMoment(text: string): boolean {
  return /^\d{4}-\d{2}-\d{2}T/.test(text) && !Number.isNaN(Date.parse(text));
}

/** Whether a record is of somebody reading the trail, as this page does each few seconds while it follows. */
export function isReading(record: AuditRecord): boolean {
  return record.stream === "audit" || record.route === "/audit";
}

/** To the second, in this machine's time. */
export function exactly(time: string): string {
  const date = new Date(time);
  return Number.isNaN(date.valueOf())
    ? time
    : date.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" });
}

/** The same without the year, where there are many under each other. */
export function briefly(time: string): string {
  const date = new Date(time);
  const form = { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit" } as const;
  return Number.isNaN(date.valueOf()) ? time : date.toLocaleString(undefined, form);
}

/** A moment as a field for a local date and time has it. */
export function localInput(moment: number): string {
  const date = new Date(moment);
  return new Date(moment - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}

/** When a bin is, in words. Both in milliseconds. */
export function binLabel(start: number, length: number): string {
  const DAY = 86_400_000;
  const day = { month: "short", day: "numeric" } as const;
  if (length >= DAY) {
    const [from, last] = [new Date(start), new Date(start + length - 1)];
    const first = from.toLocaleDateString(undefined, day);
    return length === DAY ? first : `${first} – ${last.toLocaleDateString(undefined, day)}`;
  }
  const time = { hour: "2-digit", minute: "2-digit", second: length < 60_000 ? "2-digit" : undefined } as const;
  const end = new Date(start + length).toLocaleTimeString(undefined, time);
  return `${new Date(start).toLocaleString(undefined, { ...day, ...time })} – ${end}`;
}
