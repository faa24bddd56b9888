import { expect, test } from "vitest";
import {
  type AuditRecord,
  isReading,
  localInput,
  merged,
  narrowed,
  paramsOf,
  queryOf,
  readBackTo,
  searchOf,
  spanOf,
  wordsOf,
} from "./audit";

const NOW = Date.parse("2026-11-30T12:00:00Z");

function search(address: string) {
  return searchOf(new URLSearchParams(address));
}

test("an address without a search is the last 24 hours", () => {
  expect(search("")).toEqual({ since: "24h", until: "", filters: {} });
  expect(spanOf(search(""), NOW)).toEqual({ from: NOW - 86_400_000, to: NOW });
});

test.each([
  "since=7d&decision=deny&route=%2Fanalyses%2F%7Banalysis_id%7D",
  "since=2026-11-30T09%3A00%3A00.000Z&until=2026-11-30T10%3A00%3A00.000Z&principal=program%3Anightly",
  "text=a+%26+b",
])("an address says the search that it came from: %s", (address) => {
  expect(paramsOf(search(address)).toString()).toBe(address);
});

test.each(["since=yesterday", "since=1000000h", "since=-1h", "until=2026-13-45T00:00", "until=24h", "decision=+"])(
  "what is no value is left out of %s",
  (address) => {
    expect(search(address)).toEqual({ since: "24h", until: "", filters: {} });
  },
);

test("a span ends now or where it is said", () => {
  expect(spanOf(search("since=15m"), NOW)).toEqual({ from: NOW - 900_000, to: NOW });
  const until = "2026-11-30T10:00:00Z";
  expect(spanOf(search(`since=1h&until=${until}`), NOW)).toEqual({
    from: Date.parse("2026-11-30T09:00:00Z"),
    to: Date.parse(until),
  });
});

test("narrowing adds, replaces and takes away", () => {
  const first = search("decision=deny&reason=not_permitted");
  expect(narrowed(first, { reason: "", principal: "someone" }).filters).toEqual({
    decision: "deny",
    principal: "someone",
  });
  expect(narrowed(first, { decision: "allow", since: "1h" })).toEqual({
    since: "1h",
    until: "",
    filters: { decision: "allow", reason: "not_permitted" },
  });
});

test("a query holds moments, and every value in one piece", () => {
  const query = new URLSearchParams(
    queryOf(search("since=1h&text=a%26cursor%3Db"), spanOf(search("since=1h"), NOW), "c+/="),
  );
  expect(Object.fromEntries(query)).toEqual({
    since: "2026-11-30T11:00:00.000Z",
    until: "2026-11-30T12:00:00.000Z",
    limit: "1000",
    text: "a&cursor=b",
    cursor: "c+/=",
  });
});

test("the command finds the same", () => {
  expect(wordsOf(search("since=7d&decision=deny&request_id=abc&text=two words"))).toEqual([
    ...["audit", "search", "--since", "7d", "--decision", "deny"],
    ...["--request-id", "abc", "--text", "two words"],
  ]);
});

function record(seconds: number, more: Partial<AuditRecord> = {}): AuditRecord {
  return { time: new Date(NOW - seconds * 1000).toISOString(), decision: "allow", request_id: `r${seconds}`, ...more };
}

test("records that were read twice are there once, the newest first", () => {
  const read = [record(3), record(9)];
  const again = [record(1), { request_id: "r3", decision: "allow", time: record(3).time }];
  expect(merged(read, again).map((each) => each.request_id)).toEqual(["r1", "r3", "r9"]);
});

test("two records of one call are two", () => {
  expect(merged([record(3, { stream: "authorizer" }), record(3, { stream: "keys" })])).toHaveLength(2);
});

test("how far back was read", () => {
  const span = { from: NOW - 86_400_000, to: NOW };
  expect(readBackTo(span, [])).toBe(NOW);
  expect(readBackTo(span, [{ records: [record(3), record(9)] }])).toBe(span.from);
  expect(readBackTo(span, [{ records: [record(3), record(9)], next_cursor: "c" }])).toBe(NOW - 9_000);
  expect(
    readBackTo(span, [{ records: [], next_cursor: "c", read_back_to: new Date(NOW - 60_000).toISOString() }]),
  ).toBe(NOW - 60_000);
});

test("readings of the trail are told from the rest", () => {
  expect(isReading(record(1, { stream: "audit" }))).toBe(true);
  expect(isReading(record(1, { stream: "authorizer", route: "/audit" }))).toBe(true);
  expect(isReading(record(1, { stream: "authorizer", route: "/users" }))).toBe(false);
});

test("a moment goes into a field for local time and comes back", () => {
  expect(Date.parse(localInput(NOW))).toBe(NOW);
});
