import { type Category, MISSING } from "./columns";

export interface GroupValues {
  cells: number;
  mean: number;
  /** Of the group's cells, those whose value is above zero. */
  expressing: number;
}

/** What one gene does in each group: the table that says in words what the colours say. Those without a group are last. */
export function byGroup({ codes, categories }: Category, values: Float32Array): GroupValues[] {
  const groups = Array.from({ length: categories.length + 1 }, () => ({ cells: 0, sum: 0, above: 0 }));
  codes.forEach((code, cell) => {
    const group = groups[code === MISSING ? categories.length : code];
    const value = values[cell] as number;
    if (!group) return;
    group.cells += 1;
    group.sum += value;
    if (value > 0) group.above += 1;
  });
  return groups.map(({ cells, sum, above }) => ({
    cells,
    mean: cells ? sum / cells : 0,
    expressing: cells ? above / cells : 0,
  }));
}
