import { describe, expect, test } from "vitest";
import { markersOf, matches } from "./common";
import { compared } from "./differences";
import { adjustedRandIndex, clusterOf, overlap } from "./overlap";

function labelled(labels: number[]): Map<string, string> {
  return new Map(labels.map((label, cell) => [`cell ${cell}`, String(label)]));
}

const index = (a: number[], b: number[]) => adjustedRandIndex(overlap(labelled(a), labelled(b)).counts);

describe("the adjusted Rand index", () => {
  // The values of scikit-learn's documentation and tests (metrics.adjusted_rand_score).
  test.each([
    [[0, 0, 1, 1], [0, 0, 1, 1], 1],
    [[0, 0, 1, 1], [1, 1, 0, 0], 1],
    [[0, 0, 1, 2], [0, 0, 1, 1], 0.5714285714285714],
    [[0, 0, 1, 1], [0, 0, 1, 2], 0.5714285714285714],
    [[0, 0, 0, 0], [0, 1, 2, 3], 0],
    [[0, 0, 1, 1], [0, 1, 0, 1], -0.5],
    [[1, 1, 1, 2, 2, 2], [1, 1, 2, 2, 3, 3], 0.24242424242424243],
    [[0, 1, 2, 3], [3, 2, 1, 0], 1],
    [[0, 0, 0], [5, 5, 5], 1],
  ])("of %j and %j is %f", (a, b, value) => {
    expect(index(a, b)).toBeCloseTo(value, 12);
  });

  test("says nothing about fewer than two cells", () => {
    expect(index([], [])).toBeNull();
    expect(index([1], [1])).toBeNull();
  });
});

test("only the cells that both have are compared", () => {
  const a = new Map([
    ["x", "0"],
    ["y", "10"],
    ["z", "2"],
    ["only here", "2"],
  ]);
  const b = new Map([
    ["x", "1"],
    ["y", "1"],
    ["z", "0"],
    ["only there", "7"],
  ]);
  expect(overlap(a, b)).toEqual({
    rows: ["0", "2", "10"],
    columns: ["0", "1"],
    counts: [
      [0, 1],
      [1, 0],
      [0, 1],
    ],
    shared: 3,
  });
});

test("clusters come from the table of cells", () => {
  const columns = ["cell", "cluster", "umap_1"].map((name) => ({ name, type: "text" as const }));
  expect([...clusterOf({ columns, rows: [["AAA", 3, 0.1]], truncated: false })]).toEqual([["AAA", "3"]]);
  expect(clusterOf({ columns: [], rows: [["AAA"]], truncated: false }).size).toBe(0);
});

test("values that differ come first, and one that is not used is not one without a limit", () => {
  expect(compared({ b: 1, a: null, c: 1 }, { b: 2, a: null })).toEqual([
    { name: "b", a: "1", b: "2", differs: true },
    { name: "c", a: "1", b: "not used", differs: true },
    { name: "a", a: "no limit", b: "no limit", differs: false },
  ]);
});

test("clusters are matched by the marker genes in common", () => {
  const table = (rows: [string, string][]) => ({
    columns: [
      { name: "cluster", type: "text" as const },
      { name: "gene", type: "text" as const },
    ],
    rows,
    truncated: false,
  });
  const a = markersOf(
    table([
      ["0", "TTN"],
      ["0", "MYL2"],
      ["1", "VWF"],
    ]),
  );
  const b = markersOf(
    table([
      ["0", "VWF"],
      ["1", "TTN"],
      ["1", "NPPA"],
    ]),
  );
  expect(matches(a, b)).toEqual([
    { a: "0", b: "1", genes: ["TTN"], jaccard: 1 / 3 },
    { a: "1", b: "0", genes: ["VWF"], jaccard: 1 },
  ]);
  expect(matches(a, new Map())).toEqual([]);
});
