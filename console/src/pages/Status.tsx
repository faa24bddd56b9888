import { Page } from "../ui";

export default function Status() {
  return <Page title="Status">…</Page>;
}
