/**
 * The cells of an analysis as the console's server sends them: uint32 length of a JSON header, the header, then the columns, each a
 * typed array that is read where it lies. Little endian, which every machine that runs a browser is.
 */

export interface Category {
  name: string;
  codes: Uint16Array;
  categories: readonly string[];
}

export interface Cells {
  count: number;
  x: Float32Array;
  y: Float32Array;
  categories: readonly Category[];
  genes: readonly string[];
}

/** The code of a cell that has no value in a column. */
export const MISSING = 65_535;

const LENGTH_BYTES = 4;
/** Where columns may begin, so that any typed array fits. */
const ALIGNMENT = 8;
const X = "umap_1";
const Y = "umap_2";

export class BadColumns extends Error {
  constructor(what: string) {
    super(`The cells of this analysis came in a form that the console does not read: ${what}. Reload the page.`);
    this.name = "BadColumns";
  }
}

function check(holds: boolean, what: string): asserts holds {
  if (!holds) throw new BadColumns(what);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isTexts(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((each) => typeof each === "string");
}

function header(buffer: ArrayBuffer): { document: Record<string, unknown>; start: number } {
  check(buffer.byteLength >= LENGTH_BYTES, "it is cut short");
  const length = new DataView(buffer).getUint32(0, true);
  check(LENGTH_BYTES + length <= buffer.byteLength, "its header is cut short");
  let document: unknown;
  try {
    document = JSON.parse(
      new TextDecoder("utf-8", { fatal: true }).decode(new Uint8Array(buffer, LENGTH_BYTES, length)),
    );
  } catch {
    throw new BadColumns("its header is no JSON");
  }
  check(isRecord(document), "its header is no object");
  const start = Math.ceil((LENGTH_BYTES + length) / ALIGNMENT) * ALIGNMENT;
  return { document, start };
}

function place(
  column: Record<string, unknown>,
  name: string,
  start: number,
  bytes: number,
  buffer: ArrayBuffer,
  unit: number,
) {
  const { offset } = column;
  check(Number.isSafeInteger(offset) && (offset as number) >= 0, `column ${name} has no place`);
  const at = start + (offset as number);
  check(at % unit === 0, `column ${name} lies askew`);
  check(at + bytes <= buffer.byteLength, `column ${name} is cut short`);
  return at;
}

function category(
  column: Record<string, unknown>,
  name: string,
  start: number,
  count: number,
  buffer: ArrayBuffer,
): Category {
  check(column.codes === "uint16", `column ${name} has codes of another type`);
  const { categories } = column;
  check(isTexts(categories), `column ${name} has no categories`);
  const codes = new Uint16Array(buffer, place(column, name, start, 2 * count, buffer, 2), count);
  for (const code of codes)
    check(code < categories.length || code === MISSING, `column ${name} has a code without a category`);
  return { name, codes, categories };
}

/** Throws BadColumns for what is not of that form; nothing of it is believed before it is checked. */
export function decodeCells(buffer: ArrayBuffer): Cells {
  const { document, start } = header(buffer);
  const { cells: count, columns, genes } = document;
  check(Number.isSafeInteger(count) && (count as number) >= 0, "it does not say how many cells there are");
  check(Array.isArray(columns) && columns.every(isRecord), "it lists no columns");
  check(isTexts(genes), "it lists no genes");
  const numbers = new Map<string, Float32Array>();
  const categories: Category[] = [];
  for (const column of columns) {
    const { name } = column;
    check(typeof name === "string", "a column has no name");
    if (column.type === "float32") {
      const at = place(column, name, start, 4 * (count as number), buffer, 4);
      numbers.set(name, new Float32Array(buffer, at, count as number));
    } else if (column.type === "category") categories.push(category(column, name, start, count as number, buffer));
  }
  const x = numbers.get(X);
  const y = numbers.get(Y);
  check(x !== undefined && y !== undefined, "it has no UMAP");
  check(x.every(Number.isFinite) && y.every(Number.isFinite), "its UMAP is not finite");
  return { count: count as number, x, y, categories, genes };
}

/** One gene's values, a float32 for each cell. */
export function decodeExpression(buffer: ArrayBuffer, count: number): Float32Array {
  check(buffer.byteLength === 4 * count, `the values are ${buffer.byteLength / 4}, the cells ${count}`);
  return new Float32Array(buffer);
}
