/** Counts over time, for a chart: bins of a length that people count in, the same for every series. Times are in milliseconds. */
const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

const LENGTHS = [
  ...[1, 5, 10, 30].map((count) => count * SECOND),
  ...[1, 5, 10, 30].map((count) => count * MINUTE),
  ...[1, 3, 6, 12].map((count) => count * HOUR),
  ...[1, 2, 7, 14, 28].map((count) => count * DAY),
];

/** As many bars as can be told apart, and pointed at. */
const MOST = 60;

export interface Bins {
  /** Milliseconds. */
  length: number;
  /** When each bin begins. */
  starts: number[];
  /** The counts by series, and within it by bin. */
  counts: Record<string, number[]>;
}

/** The shortest length with which a span has no more bins than can be told apart. */
export function lengthFor(span: number): number {
  return LENGTHS.find((length) => span / length <= MOST) ?? Math.ceil(span / MOST / DAY) * DAY;
}

/**
 * `offset` is how far local time is ahead of UTC, in milliseconds: a bin of a day begins at the midnight that people live by.
 * What lies outside of the span is not counted.
 */
export function bins<T>(
  items: readonly T[],
  span: { from: number; to: number },
  series: readonly string[],
  at: (item: T) => number,
  of: (item: T) => string,
  offset = 0,
): Bins {
  const length = lengthFor(span.to - span.from);
  const first = Math.floor((span.from + offset) / length) * length - offset;
  const count = Math.max(1, Math.ceil((span.to - first) / length));
  const starts = Array.from({ length: count }, (_, index) => first + index * length);
  const counts = Object.fromEntries(series.map((name) => [name, new Array<number>(count).fill(0)]));
  for (const item of items) {
    const time = at(item);
    const row = counts[of(item)];
    const bin = Math.floor((time - first) / length);
    if (row && time >= span.from && time < span.to) row[bin] = (row[bin] ?? 0) + 1;
  }
  return { length, starts, counts };
}

/** Each series on top of those before it, as a stacked chart draws them. */
export function stacked(counts: Record<string, number[]>, series: readonly string[]): number[][] {
  let under: number[] = [];
  return series.map((name) => {
    under = (counts[name] ?? []).map((value, index) => value + (under[index] ?? 0));
    return under;
  });
}
