/** Who may see an upload or an analysis beside its owner and the administrators, as the API says it. */
export type Visibility = "private" | "shared" | string[];

/** The API takes no more. */
export const MOST_NAMED = 25;

export function visibleTo(visibility: Visibility, subject?: string | null): string {
  if (visibility === "private") return "Owner and administrators";
  if (visibility === "shared") return "Everyone with a role";
  const others = visibility.filter((principal) => principal !== subject).length;
  const people = `${others} ${others === 1 ? "person" : "people"}`;
  if (others === visibility.length) return `${people} named`;
  return others === 0 ? "You, by name" : `You and ${people} named`;
}

/** The principals that a person wrote, one a line or separated by commas or spaces. */
export function named(text: string): string[] {
  return [...new Set(text.split(/[\s,;]+/).filter(Boolean))];
}

/** What is wrong with a choice, or null. */
export function wrong(visibility: Visibility): string | null {
  if (typeof visibility === "string") return null;
  if (visibility.length === 0) return "Name at least one person, or choose another answer.";
  if (visibility.length > MOST_NAMED)
    return `At most ${MOST_NAMED} people can be named; these are ${visibility.length}.`;
  const email = visibility.find((principal) => principal.includes("@"));
  return email ? `${email} is an e-mail address. The id of a person is needed: they copy it with "Copy my id".` : null;
}

/** As `--visibility` takes it. */
export function asOption(visibility: Visibility): string {
  return typeof visibility === "string" ? visibility : visibility.join(",");
}

/** "you", or enough of the id to tell people apart. */
export function ownerName(owner: string, subject: string | null | undefined): string {
  if (owner === subject) return "you";
  return owner.length > 16 ? `${owner.slice(0, 8)}…` : owner;
}
