import { expect, test } from "vitest";
import { bins, lengthFor, stacked } from "./bins";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

test.each([
  [30_000, 1_000],
  [15 * MINUTE, 30_000],
  [HOUR, MINUTE],
  [24 * HOUR, 30 * MINUTE],
  [7 * DAY, 3 * HOUR],
  [30 * DAY, 12 * HOUR],
  [365 * DAY, 7 * DAY],
  [10 * 365 * DAY, 61 * DAY],
])("a span of %i ms is cut into bins of %i ms", (span, length) => {
  expect(lengthFor(span)).toBe(length);
  expect(span / length).toBeLessThanOrEqual(60);
});

const at = (item: [number, string]) => item[0];
const of = (item: [number, string]) => item[1];

test("each record is counted once, in its series and its bin", () => {
  const from = Date.parse("2026-11-30T12:00:00Z");
  const items: [number, string][] = [
    [from, "allow"],
    [from + MINUTE - 1, "allow"],
    [from + MINUTE, "deny"],
    [from + HOUR - 1, "allow"],
  ];
  const found = bins(items, { from, to: from + HOUR }, ["allow", "deny"], at, of);
  expect(found.length).toBe(MINUTE);
  expect(found.starts).toHaveLength(60);
  expect(found.starts[0]).toBe(from);
  expect(found.counts.allow?.[0]).toBe(2);
  expect(found.counts.allow?.[59]).toBe(1);
  expect(found.counts.deny?.[1]).toBe(1);
  expect(
    Object.values(found.counts)
      .flat()
      .reduce((sum, value) => sum + value, 0),
  ).toBe(4);
});

test("what is outside of the span or of no series is not counted", () => {
  const from = Date.parse("2026-11-30T12:00:30Z");
  const items: [number, string][] = [
    [from - 1, "allow"],
    [from + HOUR, "allow"],
    [from + 5, "unheard"],
  ];
  const found = bins(items, { from, to: from + HOUR }, ["allow"], at, of);
  // The span begins within a minute: the first bin is the whole of it.
  expect(found.starts[0]).toBe(Date.parse("2026-11-30T12:00:00Z"));
  expect(found.counts.allow?.every((count) => count === 0)).toBe(true);
});

test("a bin of a day begins at midnight where the reader is", () => {
  const from = Date.parse("2026-11-01T00:30:00Z");
  const found = bins([], { from, to: from + 50 * DAY }, [], at, of, 2 * HOUR);
  expect(found.length).toBe(DAY);
  expect(new Date(found.starts[0] ?? 0).toISOString()).toBe("2026-10-31T22:00:00.000Z");
});

test("a span without a length has one bin", () => {
  expect(bins([], { from: 5_000, to: 5_000 }, ["allow"], at, of).starts).toHaveLength(1);
});

test("series stand on each other", () => {
  expect(stacked({ a: [1, 0, 2], b: [3, 1, 0] }, ["a", "b", "none"])).toEqual([[1, 0, 2], [4, 1, 2], []]);
});
