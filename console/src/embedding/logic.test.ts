import { describe, expect, test } from "vitest";
import { fitted, onScreen, panned, radius, zoomed } from "./camera";
import { type Category, MISSING } from "./columns";
import { found } from "./genes";
import { counts, drawn, gathered, middles, range } from "./selection";
import { byGroup } from "./summary";

const f = (...values: number[]) => Float32Array.from(values);
const CLUSTER: Category = { name: "cluster", codes: Uint16Array.from([0, 1, 1, MISSING]), categories: ["0", "1", "2"] };

describe("the camera", () => {
  const size = { width: 448, height: 248 };

  test("shows all cells, whatever the shape", () => {
    const camera = fitted(f(0, 10, 5), f(-10, 10, 0), size);
    for (const [x, y] of [
      [0, -10],
      [10, 10],
    ] as const) {
      const [left, top] = onScreen(camera, size, x, y);
      expect(left).toBeGreaterThanOrEqual(0);
      expect(left).toBeLessThanOrEqual(size.width);
      expect(top).toBeGreaterThanOrEqual(0);
      expect(top).toBeLessThanOrEqual(size.height);
    }
    expect(onScreen(camera, size, 5, 0)).toEqual([224, 124]);
    expect(onScreen(camera, size, 5, 1)[1]).toBeLessThan(124);
  });

  test("is somewhere also without cells, and with one", () => {
    expect(fitted(f(), f(), size)).toEqual({ target: [0, 0], zoom: 0 });
    expect(Number.isFinite(fitted(f(3), f(4), size).zoom)).toBe(true);
  });

  test("moves by pixels at any zoom", () => {
    const camera = zoomed({ target: [0, 0], zoom: 2 }, 1);
    expect(camera.zoom).toBe(3);
    expect(panned(camera, 80, -8).target).toEqual([10, -1]);
  });

  test("makes cells smaller when there are many", () => {
    expect(radius(100, 0)).toBeGreaterThan(radius(50_000, 0));
    expect(radius(50_000, 4)).toBeGreaterThan(radius(50_000, 0));
    expect(radius(10_000_000, 0)).toBe(1);
  });
});

describe("the cells drawn", () => {
  test("are all, or those of the groups that are not hidden", () => {
    expect([...drawn(CLUSTER, new Set(), null, 4)]).toEqual([0, 1, 2, 3]);
    expect([...drawn(CLUSTER, new Set([1]), null, 4)]).toEqual([0, 3]);
    expect([...drawn(CLUSTER, new Set([MISSING, 0]), null, 4)]).toEqual([1, 2]);
    expect([...drawn(undefined, new Set(), null, 2)]).toEqual([0, 1]);
  });

  test("by number have the highest above the others", () => {
    expect([...drawn(CLUSTER, new Set(), f(0, 5, 3, 0), 4)]).toEqual([0, 3, 2, 1]);
    expect([...gathered(f(0, 1, 2, 3), f(4, 5, 6, 7), Uint32Array.from([3, 1]))]).toEqual([3, 7, 1, 5]);
  });
});

test("groups are counted, and those without one", () => {
  expect(counts(CLUSTER)).toEqual([1, 2, 0, 1]);
});

test("the middle of a group is its median", () => {
  expect(middles(CLUSTER, f(1, 5, 9, 100), f(1, 2, 3, 100))).toEqual([[1, 1], [9, 3], null]);
});

test("the range of values", () => {
  expect(range(f(2, -1, 7))).toEqual([-1, 7]);
  expect(range(f())).toEqual([0, 0]);
});

test("a gene's mean and share in each group", () => {
  expect(byGroup(CLUSTER, f(0, 4, 0, 9))).toEqual([
    { cells: 1, mean: 0, expressing: 0 },
    { cells: 2, mean: 2, expressing: 0.5 },
    { cells: 0, mean: 0, expressing: 0 },
    { cells: 1, mean: 9, expressing: 1 },
  ]);
});

test("genes are found by any part of their name, the best first", () => {
  const genes = ["MYL2B", "XMYL2", "MYL2", "TTN"];
  expect(found(genes, "myl2")).toEqual(["MYL2", "MYL2B", "XMYL2"]);
  expect(found(genes, "  ")).toEqual(genes);
  expect(found(genes, "nothing")).toEqual([]);
  expect(found(genes, "", 2)).toHaveLength(2);
});
