import { Page } from "../ui";

export default function Compare() {
  return <Page title="Compare">…</Page>;
}
