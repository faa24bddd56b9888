import { Page } from "../ui";

export default function Uploads() {
  return <Page title="Uploads">…</Page>;
}
