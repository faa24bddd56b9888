import { expect, test } from "vitest";
import type { Configuration, Version } from "./api";
import { assignments, changesOf, differences, type Options, parse, rangeOf, valuesAt } from "./configuration";

const whole = { type: "integer", minimum: 0, maximum: 100, nullable: false, default: 3, description: "" };
const limit = { type: "integer", minimum: 41, maximum: 10_000_000, nullable: true, default: null, description: "" };
const ratio = { type: "number", minimum: 0.01, maximum: 10, nullable: false, default: 0.5, description: "" };
const options: Options = { min_cells: whole, max_cells_subset: limit, resolution: ratio };

function configuration(version: number, config: Record<string, number | null>): Configuration {
  return { version, config, changed_by: null, changed_at: null } as unknown as Configuration;
}

function version(number: number, ...changes: [string, number | null, number | null][]): Version {
  return {
    version: number,
    changed_by: "someone",
    changed_at: "2026-11-30T09:00:00.000+00:00",
    request_id: null,
    restored_from: null,
    changes: changes.map(([field, from, to]) => ({ field, from, to })),
  };
}

test.each([
  ["3", whole, 3],
  [" 3 ", whole, 3],
  ["0", whole, 0],
  ["100", whole, 100],
  ["1e1", whole, 10],
  ["0.01", ratio, 0.01],
  [".5", ratio, 0.5],
  [null, limit, null],
])("%j is a value", (text, option, value) => {
  expect(parse(text, option)).toEqual({ value });
});

test.each([
  ["", whole],
  ["three", whole],
  ["101", whole],
  ["-1", whole],
  ["2.5", whole],
  ["0x10", whole],
  ["Infinity", ratio],
  ["1_000", limit],
  ["40", limit],
  [null, whole],
])("%j is none, and it is said what is", (text, option) => {
  expect(parse(text, option)).toEqual({ wrong: `Write ${rangeOf(option)}.` });
});

test("only what differs is changed", () => {
  const values = { min_cells: 3, max_cells_subset: null, resolution: 0.5 };
  expect(changesOf({ min_cells: "4", max_cells_subset: null, resolution: "0.50" }, values, options)).toEqual({
    changed: [{ field: "min_cells", before: 3, after: 4 }],
    wrong: [],
  });
});

test("what is no value is named, and a field that nobody described is not sent", () => {
  expect(changesOf({ min_cells: "many", unheard: "1" }, { min_cells: 3 }, options)).toEqual({
    changed: [],
    wrong: ["min_cells", "unheard"],
  });
});

test("differences between two configurations, either of which may lack a field", () => {
  expect(differences({ a: 1, b: null, c: 2 }, { a: 1, b: 5, d: 7 })).toEqual([
    { field: "b", before: null, after: 5 },
    { field: "c", before: 2, after: undefined },
    { field: "d", before: undefined, after: 7 },
  ]);
});

test("the values of an earlier version are those of now without what came after it", () => {
  const history = [
    version(3, ["min_cells", 5, 6]),
    version(2, ["min_cells", 3, 5], ["resolution", 0.5, 0.8]),
    version(1, ["resolution", 0.4, 0.5]),
  ];
  const now = configuration(3, { min_cells: 6, resolution: 0.8 });
  expect(valuesAt(3, now, history)).toEqual({ min_cells: 6, resolution: 0.8 });
  expect(valuesAt(2, now, history)).toEqual({ min_cells: 5, resolution: 0.8 });
  expect(valuesAt(1, now, history)).toEqual({ min_cells: 3, resolution: 0.5 });
  expect(valuesAt(0, now, history)).toEqual({ min_cells: 3, resolution: 0.4 });
});

test("a history with a gap, or one that does not reach so far, says nothing of a version", () => {
  const now = configuration(3, { min_cells: 6 });
  expect(valuesAt(1, now, [version(3, ["min_cells", 5, 6])])).toBeNull();
  expect(valuesAt(1, now, [version(3, ["min_cells", 5, 6]), version(1)])).toBeNull();
  expect(valuesAt(1, configuration(5, {}), [version(3), version(2)])).toBeNull();
});

test("a history that is newer than the configuration at hand is read from that one on", () => {
  expect(
    valuesAt(1, configuration(2, { min_cells: 5 }), [version(3, ["min_cells", 5, 6]), version(2, ["min_cells", 3, 5])]),
  ).toEqual({ min_cells: 3 });
});

test("a change as the command line takes it", () => {
  expect(
    assignments([
      { field: "resolution", before: 0.5, after: 0.8 },
      { field: "max_cells_subset", before: 5000, after: null },
    ]),
  ).toEqual(["resolution=0.8", "max_cells_subset=null"]);
});
