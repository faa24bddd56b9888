/** The service's words for people. What is unknown is shown as it is, so that a newer service is no blank. */

const TYPES: Record<string, string> = {
  basic: "Basic",
  advanced_communication: "Advanced communication",
  multi_chamber: "Multi-chamber",
  comprehensive: "Comprehensive",
};

function spelled(word: string): string {
  const text = word.replaceAll("_", " ");
  return text.charAt(0).toUpperCase() + text.slice(1);
}

export function typeName(type: string): string {
  return TYPES[type] ?? spelled(type);
}

export function stageName(stage: string): string {
  return spelled(stage);
}

/** `position`: how many are to be started before it; left out where they are a thousand or more. */
export function whyQueued(position: number | undefined): string {
  if (position === undefined) return "A thousand or more are to be started before it.";
  if (position === 0) return "It is the next: it waits for a free worker. From none, one takes some minutes to start.";
  if (position === 1) return "One other is to be started before it.";
  return `${position} others are to be started before it.`;
}
