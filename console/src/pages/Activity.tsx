import { Page } from "../ui";

export default function Activity() {
  return <Page title="Activity">…</Page>;
}
