/**
 * Signing in in the middle of work. A call that was refused for want of a sign-in did nothing: it waits here while the page asks for
 * one, and is made again afterwards, so that nothing typed is lost and nothing is done twice.
 */
import { createStore } from "./store";

/** The session has ended, or the call takes a more recent sign-in. */
export type Need = "expired" | "step_up";

export const asked = createStore<Need | null>(null);

let waiting: { answer: Promise<boolean>; settle: (renewed: boolean) => void } | null = null;
let declined = false;

/** Whether the person has signed in again. Calls that fail together ask once. */
export function renewed(need: Need): Promise<boolean> {
  if (!waiting) {
    let settle: (done: boolean) => void = () => {};
    const answer = new Promise<boolean>((resolve) => {
      settle = resolve;
    });
    waiting = { answer, settle };
    asked.set(need);
  } else if (need === "expired") {
    asked.set(need);
  }
  return waiting.answer;
}

/** After "not now", what the page asks for by itself does not ask again: only what the person does. */
export function mayAsk(byThePerson: boolean): boolean {
  return byThePerson || !declined;
}

export function settle(done: boolean): void {
  declined = !done;
  waiting?.settle(done);
  waiting = null;
  asked.set(null);
}

export function needOf(status: number, code: string, reason: string | undefined): Need | null {
  if (status === 401 && (code === "not_signed_in" || code === "unauthenticated")) return "expired";
  return status === 403 && reason === "sign_in_too_old" ? "step_up" : null;
}
