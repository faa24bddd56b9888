import { Page } from "../ui";

export default function Config() {
  return <Page title="Config">…</Page>;
}
