import { Page } from "../ui";

export default function Analysis() {
  return <Page title="Analysis">…</Page>;
}
