/** Which cells are drawn, in what order, and where their groups are. */
import { type Category, MISSING } from "./columns";

/** The cells that are shown. With numbers, the highest come last, so that they are drawn above the others. */
export function drawn(
  column: Category | undefined,
  hidden: ReadonlySet<number>,
  values: Float32Array | null,
  count: number,
) {
  const shown = new Uint32Array(count);
  let length = 0;
  for (let cell = 0; cell < count; cell++) {
    if (hidden.size === 0 || !hidden.has(column?.codes[cell] ?? MISSING)) shown[length++] = cell;
  }
  const order = shown.subarray(0, length);
  return values ? ascending(order, values) : order;
}

/** Many cells share the value 0: only the others have to be sorted. */
function ascending(order: Uint32Array, values: Float32Array): Uint32Array {
  const sorted = new Uint32Array(order.length);
  const rest: number[] = [];
  let length = 0;
  for (const cell of order) {
    if ((values[cell] as number) > 0) rest.push(cell);
    else sorted[length++] = cell;
  }
  sorted.set(
    rest.sort((a, b) => (values[a] as number) - (values[b] as number)),
    length,
  );
  return sorted;
}

export function gathered(x: Float32Array, y: Float32Array, order: Uint32Array): Float32Array {
  const positions = new Float32Array(order.length * 2);
  for (let place = 0; place < order.length; place++) {
    const cell = order[place] as number;
    positions[2 * place] = x[cell] as number;
    positions[2 * place + 1] = y[cell] as number;
  }
  return positions;
}

/** Cells in each category; those without one at the end. */
export function counts({ codes, categories }: Category): number[] {
  const sums = new Array<number>(categories.length + 1).fill(0);
  for (const code of codes) {
    const at = code === MISSING ? categories.length : code;
    sums[at] = (sums[at] as number) + 1;
  }
  return sums;
}

/** The middle of each category: the median, which stays within crescents better than the mean. Null for an empty one. */
export function middles(
  { codes, categories }: Category,
  x: Float32Array,
  y: Float32Array,
): ([number, number] | null)[] {
  const of: [number[], number[]][] = categories.map(() => [[], []]);
  codes.forEach((code, cell) => {
    of[code]?.[0].push(x[cell] as number);
    of[code]?.[1].push(y[cell] as number);
  });
  return of.map(([xs, ys]) => (xs.length === 0 ? null : [median(xs), median(ys)]));
}

function median(values: number[]): number {
  return Float32Array.from(values).sort()[values.length >> 1] as number;
}

/** The smallest value and the largest one. */
export function range(values: Float32Array): [number, number] {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return low <= high ? [low, high] : [0, 0];
}
