import { Page } from "../ui";

export default function NewAnalysis() {
  return <Page title="NewAnalysis">…</Page>;
}
