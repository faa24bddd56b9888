import { Page } from "../ui";

export function Analyses() {
  return <Page title="Analyses">…</Page>;
}
