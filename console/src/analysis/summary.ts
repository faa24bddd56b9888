/** The summary of an analysis, of which the API says only that it is an object. What is not as expected is left out. */

export interface Sized {
  name: string;
  cells: number;
}

export interface Summary {
  cells: number | null;
  genes: number | null;
  input: { cells: number; genes: number } | null;
  config: Record<string, unknown>;
  clusters: Sized[];
  chambers: Sized[];
  interactions: number | null;
  leftOut: { what: string; why: string }[];
  notes: string[];
  versions: Record<string, string>;
}

type Given = Record<string, unknown>;

function record(value: unknown): Given {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Given) : {};
}

function list(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}

function count(value: unknown): number | null {
  return typeof value === "number" && Number.isFinite(value) ? value : null;
}

function sizes(value: unknown, key: string): Sized[] {
  return list(value).flatMap((each) => {
    const given = record(each);
    const cells = count(given.cells);
    return cells === null ? [] : [{ name: String(given[key]), cells }];
  });
}

export function readSummary(given: unknown): Summary {
  const summary = record(given);
  const input = record(summary.input);
  const [cells, genes] = [count(input.cells), count(input.genes)];
  return {
    cells: count(summary.cells),
    genes: count(summary.genes),
    input: cells !== null && genes !== null ? { cells, genes } : null,
    config: record(summary.config),
    clusters: sizes(summary.clusters, "cluster"),
    chambers: sizes(summary.chambers, "chamber"),
    interactions: count(summary.interactions),
    leftOut: list(summary.left_out).map((each) => {
      const { what, why } = record(each);
      return { what: String(what ?? ""), why: String(why ?? "") };
    }),
    notes: list(summary.notes).filter((note) => typeof note === "string"),
    versions: Object.fromEntries(
      Object.entries(record(summary.versions)).map(([name, value]) => [name, String(value)]),
    ),
  };
}
