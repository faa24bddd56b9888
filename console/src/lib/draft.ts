/** What was typed of a new analysis. It outlives the page: nothing is lost by looking elsewhere, a refusal or an expired sign-in. */
import type { Configuration, Model } from "./api";
import { type Option, parse, type Value, valuesOf } from "./configuration";
import { createStore } from "./store";
import type { Visibility } from "./visibility";

export interface Draft {
  /** The id of a data set that is on the server already, in place of a file. */
  earlier: string | null;
  type: string | null;
  /** What was typed into the fields of the options, by their names; those left alone are not here. */
  typed: Record<string, string>;
  visibility: Visibility;
}

/** The type is the one that the service runs where none is said. */
const EMPTY: Draft = { earlier: null, type: "comprehensive", typed: {}, visibility: "private" };

export const draft = createStore<Draft>(EMPTY);

export function amend(change: Partial<Draft>): void {
  draft.set({ ...draft.get(), ...change });
}

let sent: { body: string; key: string } | null = null;

/** The same key for the same request, so that one whose answer was lost does not run twice. */
export function keyOf(body: unknown): string {
  const text = JSON.stringify(body);
  if (sent?.body !== text) sent = { body: text, key: crypto.randomUUID() };
  return sent.key;
}

export function startOver(): void {
  sent = null;
  draft.set(EMPTY);
}

/** What the analysis runs with unless it is said: the configuration's value. */
export function standing(name: string, option: Option, configuration: Configuration | undefined): Value {
  const configured = configuration && valuesOf(configuration)[name];
  return configured !== undefined ? configured : option.default;
}

export function asText(value: Value): string {
  return value === null ? "" : String(value);
}

/** The options to send, those alone that differ from the configuration, and what is wrong with the others. */
export function chosen(model: Model, typed: Record<string, string>, configuration: Configuration | undefined) {
  const options: Record<string, Value> = {};
  const errors: Record<string, string> = {};
  for (const [name, option] of Object.entries(model.options)) {
    const text = typed[name];
    if (text === undefined) continue;
    // Nothing stands for "all", where there is such a value.
    const found = parse(text.trim() || null, option);
    if ("wrong" in found) errors[name] = found.wrong;
    else if (found.value !== standing(name, option, configuration)) options[name] = found.value;
  }
  return { options, errors };
}

/** `heartmapctl analyze …` for the same. */
export function commandWords(what: string, type: string, options: Record<string, Value>, visibility: string): string[] {
  const chosenOptions = Object.entries(options).flatMap(([name, value]) => ["--option", `${name}=${value ?? "null"}`]);
  return [
    "analyze",
    what,
    "--type",
    type,
    ...chosenOptions,
    ...(visibility === "private" ? [] : ["--visibility", visibility]),
  ];
}
