import { setting } from "../analysis/words";

export interface Compared {
  name: string;
  a: string;
  b: string;
  differs: boolean;
}

/** Two sets of named values, one line a name; those that differ come first. */
export function compared(a: Record<string, unknown>, b: Record<string, unknown>): Compared[] {
  const shown = (values: Record<string, unknown>, name: string) =>
    name in values ? setting(values[name]) : "not used";
  return [...new Set([...Object.keys(a), ...Object.keys(b)])]
    .map((name) => {
      const [left, right] = [shown(a, name), shown(b, name)];
      return { name, a: left, b: right, differs: left !== right };
    })
    .sort((one, other) => Number(other.differs) - Number(one.differs) || one.name.localeCompare(other.name));
}
