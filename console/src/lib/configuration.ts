/** The configuration of the pipelines: its fields, what was typed for them, and what a change or a version changes. */
import { useQuery } from "@tanstack/react-query";
import { api, type Configuration, type Model, type Version } from "./api";

export type Value = number | null;
export type Values = Record<string, Value>;
export type Option = Model["options"][string];
export type Options = Record<string, Option>;

/** What was typed, by field; only of fields that were touched. `null`: all. */
export type Draft = Readonly<Record<string, string | null>>;

export interface Difference {
  field: string;
  before: Value | undefined;
  after: Value | undefined;
}

export const CONFIGURATION = ["config"];
export const VERSIONS = ["config-versions"];

export interface VersionPage {
  versions: Version[];
  next_cursor?: string;
}

export function readVersions(cursor: string | null, signal?: AbortSignal): Promise<VersionPage> {
  const after = cursor === null ? "" : `&cursor=${encodeURIComponent(cursor)}`;
  return api.get<VersionPage>(`/api/config/versions?limit=20${after}`, signal);
}

export function valuesOf(configuration: Configuration): Values {
  return configuration.config as unknown as Values;
}

/** Every option that some pipeline knows; the service describes each of them once, whichever pipeline names it. */
export function optionsOf(models: readonly Model[]): Options {
  return Object.assign({}, ...models.map((model) => model.options));
}

export function rangeOf(option: Option): string {
  const kind = option.type === "integer" ? "a whole number" : "a number";
  const range =
    option.minimum === null || option.maximum === null
      ? kind
      : `${kind} from ${shown(option.minimum)} to ${shown(option.maximum)}`;
  return option.nullable ? `${range}, or all` : range;
}

export function shown(value: Value | undefined): string {
  if (value === undefined) return "not known";
  return value === null ? "all" : value.toLocaleString(undefined, { maximumFractionDigits: 20 });
}

/** The value that a text is for a field, or what is wrong with it. */
export function parse(text: string | null, option: Option): { value: Value } | { wrong: string } {
  const wrong = { wrong: `Write ${rangeOf(option)}.` };
  if (text === null) return option.nullable ? { value: null } : wrong;
  const trimmed = text.trim();
  if (!/^[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?$/i.test(trimmed)) return wrong;
  const value = Number(trimmed);
  const within = value >= (option.minimum ?? -Infinity) && value <= (option.maximum ?? Infinity);
  return within && (option.type !== "integer" || Number.isSafeInteger(value)) ? { value } : wrong;
}

/** What a draft changes of the values, and the fields whose text is no value. */
export function changesOf(draft: Draft, values: Values, options: Options): { changed: Difference[]; wrong: string[] } {
  const changed: Difference[] = [];
  const wrong: string[] = [];
  for (const [field, text] of Object.entries(draft)) {
    const option = options[field];
    const parsed = option ? parse(text, option) : { wrong: "" };
    if ("wrong" in parsed) wrong.push(field);
    else if (parsed.value !== values[field]) changed.push({ field, before: values[field], after: parsed.value });
  }
  return { changed, wrong };
}

/** The fields whose values are not the same. */
export function differences(before: Values, after: Values): Difference[] {
  return [...new Set([...Object.keys(before), ...Object.keys(after)])]
    .filter((field) => before[field] !== after[field])
    .map((field) => ({ field, before: before[field], after: after[field] }));
}

/**
 * The values of a version, by undoing the ones after it. `history` is the newest first; null where it does not reach from `current`
 * to the version without a gap.
 */
export function valuesAt(version: number, current: Configuration, history: readonly Version[]): Values | null {
  const values = { ...valuesOf(current) };
  let at = current.version;
  for (const each of history) {
    if (at === version) break;
    if (each.version > at) continue;
    if (each.version !== at) return null;
    for (const change of each.changes) values[change.field] = change.from;
    at -= 1;
  }
  return at === version ? values : null;
}

/** Whether a refusal says that somebody else changed it meanwhile. */
export function isOutdated(code: string): boolean {
  return code === "config_changed" || code === "config_conflict";
}

/** As `heartmapctl config set` takes them. */
export function assignments(changed: readonly Difference[]): string[] {
  return changed.map(({ field, after }) => `${field}=${after === null ? "null" : after}`);
}

/** The types of analysis, which are the same until the environment is updated. */
export function useModels() {
  return useQuery({
    queryKey: ["models"],
    queryFn: async ({ signal }) => (await api.get<{ models: Model[] }>("/api/models", signal)).models,
    staleTime: Number.POSITIVE_INFINITY,
  });
}

/** The configuration, and the ETag that a change of it has to carry. */
export function useConfiguration() {
  return useQuery({
    queryKey: CONFIGURATION,
    queryFn: ({ signal }) => api.read<Configuration>("/api/config", signal),
  });
}
