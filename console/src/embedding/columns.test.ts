import { describe, expect, test } from "vitest";
import { BadColumns, decodeCells, decodeExpression, MISSING } from "./columns";
import { encode } from "./encode.fixture";

const CELLS = {
  x: [0, 1, 2],
  y: [5, 4, -3],
  categories: { cluster: { codes: [0, 1, MISSING], categories: ["0", "1"] } },
  genes: ["ACTC1", "é"],
};

function refusal(buffer: ArrayBuffer): string {
  try {
    decodeCells(buffer);
  } catch (error) {
    expect(error).toBeInstanceOf(BadColumns);
    return (error as Error).message;
  }
  return "";
}

function withHeader(document: unknown, bytes = 64): ArrayBuffer {
  const text = new TextEncoder().encode(typeof document === "string" ? document : JSON.stringify(document));
  const buffer = new ArrayBuffer(Math.ceil((4 + text.length) / 8) * 8 + bytes);
  new DataView(buffer).setUint32(0, text.length, true);
  new Uint8Array(buffer).set(text, 4);
  return buffer;
}

describe("cells", () => {
  test("are read where they lie", () => {
    const cells = decodeCells(encode(CELLS));
    expect(cells.count).toBe(3);
    expect([...cells.x]).toEqual(CELLS.x);
    expect([...cells.y]).toEqual(CELLS.y);
    expect(cells.genes).toEqual(CELLS.genes);
    expect(cells.categories).toHaveLength(1);
    expect([...(cells.categories[0]?.codes ?? [])]).toEqual([0, 1, MISSING]);
  });

  test("of none are none", () => {
    expect(decodeCells(encode({ x: [], y: [], categories: {}, genes: [] })).count).toBe(0);
  });

  test("cut short anywhere are refused with words", () => {
    const whole = encode(CELLS);
    const end = whole.byteLength;
    // The last column is padded to a multiple of eight.
    for (const length of [0, 1, 3, 4, 20, end - 24, end - 12]) {
      expect(refusal(whole.slice(0, length)), `${length} bytes`).toMatch(/cut short|no JSON/);
    }
  });

  test.each([
    ["no JSON", "{{{"],
    ["no object", "[1]"],
    ["how many cells", { columns: [], genes: [] }],
    ["how many cells", { cells: -1, columns: [], genes: [] }],
    ["how many cells", { cells: 1e300, columns: [], genes: [] }],
    ["no columns", { cells: 1, columns: 4, genes: [] }],
    ["no columns", { cells: 1, columns: [null], genes: [] }],
    ["no genes", { cells: 1, columns: [], genes: [4] }],
    ["no UMAP", { cells: 1, columns: [], genes: [] }],
    ["no name", { cells: 1, columns: [{ type: "float32", offset: 0 }], genes: [] }],
    ["has no place", { cells: 1, columns: [{ name: "a", type: "float32", offset: -8 }], genes: [] }],
    ["askew", { cells: 1, columns: [{ name: "a", type: "float32", offset: 1 }], genes: [] }],
    ["is cut short", { cells: 1000, columns: [{ name: "a", type: "float32", offset: 0 }], genes: [] }],
    ["another type", { cells: 1, columns: [{ name: "a", type: "category", codes: "uint8", offset: 0 }], genes: [] }],
    ["no categories", { cells: 1, columns: [{ name: "a", type: "category", codes: "uint16", offset: 0 }], genes: [] }],
    [
      "without a category",
      { cells: 1, columns: [{ name: "a", type: "category", codes: "uint16", offset: 0, categories: [] }], genes: [] },
    ],
  ])("with %s are refused with words", (words, document) => {
    expect(refusal(withHeader(document))).toContain(words);
  });

  test("whose place is not a number are refused", () => {
    expect(refusal(encode({ ...CELLS, x: [Number.NaN, 1, 2] }))).toContain("not finite");
  });
});

describe("expression", () => {
  test("has a value for each cell", () => {
    expect([...decodeExpression(new Float32Array([1, 2]).buffer, 2)]).toEqual([1, 2]);
    expect(() => decodeExpression(new ArrayBuffer(7), 2)).toThrow(BadColumns);
  });
});
