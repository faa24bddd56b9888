import { useSyncExternalStore } from "react";
import type { Theme } from "./colours";

const DARK = "(prefers-color-scheme: dark)";

function current(): Theme {
  const { theme } = document.documentElement.dataset;
  if (theme === "light" || theme === "dark") return theme;
  return window.matchMedia(DARK).matches ? "dark" : "light";
}

function subscribe(changed: () => void): () => void {
  const media = window.matchMedia(DARK);
  const attribute = new MutationObserver(changed);
  media.addEventListener("change", changed);
  attribute.observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
  return () => {
    media.removeEventListener("change", changed);
    attribute.disconnect();
  };
}

/** The theme that the page is shown in: the person's choice, or the system's. What is drawn on a canvas has to know it. */
export function useTheme(): Theme {
  return useSyncExternalStore(subscribe, current);
}
