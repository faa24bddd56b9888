/** What `heartmapctl doctor` looks at, as the console's server tells it. */
export interface Check {
  name: string;
  state: "pass" | "warn" | "fail";
  detail: string;
  next_step?: string | null;
}

const GROUPS: readonly { title: string; names: readonly string[] }[] = [
  {
    title: "The environment",
    names: [
      "description",
      "proxy",
      "certificate authority",
      "service",
      "certificate",
      "clock",
      "sign-in page",
      "version",
    ],
  },
  { title: "You", names: ["session", "kept in", "API key", "access"] },
  { title: "This machine", names: ["callback ports", "tunnel"] },
];
const REST = "More";

export interface CheckGroup {
  title: string;
  checks: Check[];
}

/** The checks by what they are about; none is left out, whatever it is called. */
export function grouped(checks: readonly Check[]): CheckGroup[] {
  const titleOf = (check: Check) => GROUPS.find(({ names }) => names.includes(check.name))?.title ?? REST;
  return [...GROUPS.map(({ title }) => title), REST]
    .map((title) => ({ title, checks: checks.filter((check) => titleOf(check) === title) }))
    .filter((group) => group.checks.length > 0);
}

/** In one line, for whoever wants to know whether to read on. */
export function verdict(checks: readonly Check[]): { state: Check["state"]; words: string } {
  const count = (state: Check["state"]) => checks.filter((check) => check.state === state).length;
  const [failed, warned] = [count("fail"), count("warn")];
  if (failed > 0) return { state: "fail", words: `${failed} of ${checks.length} to repair` };
  if (warned > 0) return { state: "warn", words: `${warned} of ${checks.length} to look at` };
  return { state: "pass", words: `All ${checks.length} in order` };
}

/** The command that a next step ends with: what can be copied into a terminal as it is. */
export function commandIn(step: string): string | null {
  return /(?:^|: )((?:heartmapctl|chmod|make|sudo|ss|unset|date)\b.*)$/.exec(step)?.[1] ?? null;
}
