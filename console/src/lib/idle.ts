/** Whether anybody uses the page: the console's server renews a session for people, not for a page that was left open. */
const IDLE_MS = 15 * 60 * 1000;
const SIGNS = ["pointerdown", "pointermove", "keydown", "focusin", "scroll"] as const;

let last = Date.now();

export function watchActivity(): void {
  for (const sign of SIGNS) {
    window.addEventListener(sign, () => (last = Date.now()), { passive: true, capture: true });
  }
}

export function isIdle(now = Date.now()): boolean {
  return now - last > IDLE_MS;
}
