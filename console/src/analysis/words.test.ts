import { expect, test } from "vitest";
import type { Analysis } from "../lib/api";
import { readManifest } from "./manifest";
import { readSummary } from "./summary";
import { records } from "./tables";
import { advice, figure, secondsLeft, setting } from "./words";

test("a summary is read as far as it is one", () => {
  const summary = readSummary({
    cells: 693,
    genes: 765,
    input: { cells: 700, genes: 765 },
    clusters: [{ cluster: "0", cells: 3 }, { cluster: "1" }, null],
    left_out: [{ what: "report", why: "made up" }],
    notes: ["a note", 4],
    versions: { python: "3.11" },
  });
  expect(summary.input).toEqual({ cells: 700, genes: 765 });
  expect(summary.clusters).toEqual([{ name: "0", cells: 3 }]);
  expect(summary.chambers).toEqual([]);
  expect(summary.leftOut).toEqual([{ what: "report", why: "made up" }]);
  expect(summary.notes).toEqual(["a note"]);
  for (const nothing of [null, "text", [], 4, {}]) expect(readSummary(nothing).cells).toBeNull();
});

test("a manifest of another form is none", () => {
  const part = { input: { sha256: "00", bytes: 1 }, versions: {}, config: {}, options: {} };
  expect(readManifest(JSON.stringify({ schema: 1, reproducible: part, run: {} }))?.reproducible.input.bytes).toBe(1);
  for (const text of ["", "{}", "null", JSON.stringify({ schema: 2, reproducible: part, run: {} })]) {
    expect(readManifest(text)).toBeNull();
  }
});

test("every failure says what to do, also one that is not known", () => {
  expect(advice("out_of_memory")).toContain("max_cells_subset");
  expect(advice("something_new").length).toBeGreaterThan(20);
});

test("what is left is of the estimate, and nothing once it has passed", () => {
  const analysis = { estimate: { seconds: 100 }, started_at: "2026-11-30T09:00:00Z" } as Analysis;
  const start = Date.parse("2026-11-30T09:00:00Z");
  expect(secondsLeft(analysis, start + 40_000)).toBe(60);
  expect(secondsLeft(analysis, start + 140_000)).toBeNull();
  expect(secondsLeft({ ...analysis, started_at: null }, start)).toBeNull();
});

test("figures say what they show", () => {
  const facts = { cells: 50_000, clusters: 20, chambers: 0 };
  expect(figure("umap_clusters.png", facts).alt).toContain("20 clusters");
  expect(figure("new.png", facts)).toEqual({ title: "new.png", alt: "The figure new.png." });
});

test("no limit is said as such", () => {
  expect([null, 0, "a", { b: 1 }].map(setting)).toEqual(["no limit", "0", "a", '{"b":1}']);
});

test("rows are read by the names of the columns", () => {
  const columns = [
    { name: "gene", type: "text" as const },
    { name: "score", type: "number" as const },
  ];
  expect(records({ columns, rows: [["TTN", 4], ["MYL2"]], truncated: false })).toEqual([
    { gene: "TTN", score: 4 },
    { gene: "MYL2", score: null },
  ]);
});
