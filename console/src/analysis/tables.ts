/** A table of an analysis as the console's server reads it from its CSV file. */
export interface Table {
  columns: { name: string; type: "number" | "text" }[];
  rows: (string | number | null)[][];
  truncated: boolean;
}

/** Rows as objects by the names of the columns. */
export function records(table: Table): Record<string, string | number | null>[] {
  const names = table.columns.map(({ name }) => name);
  return table.rows.map((row) => Object.fromEntries(names.map((name, place) => [name, row[place] ?? null])));
}
