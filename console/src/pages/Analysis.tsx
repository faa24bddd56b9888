import { useParams } from "react-router";
import { Actions } from "../analysis/Actions";
import "../analysis/analysis.css";
import { isLive, useAnalysis } from "../analysis/queries";
import { ResultParts } from "../analysis/ResultParts";
import { StatusPanel } from "../analysis/StatusPanel";
import { useModels } from "../lib/configuration";
import { typeName } from "../lib/states";
import { useUpload } from "../lib/uploads";
import { Loading, Page, Panel, Problem } from "../ui";

/** One analysis: how it stands, and once it has succeeded what it found. */
export default function Analysis() {
  const { id = "" } = useParams();
  // Another analysis is another page: nothing that was chosen in one goes over to the next.
  return <One key={id} id={id} />;
}

function One({ id }: { id: string }) {
  const { data, error, isPending } = useAnalysis(id);
  const upload = useUpload(data?.body.upload_id);
  const models = useModels();
  if (isPending) {
    return (
      <Page title="Analysis">
        <Loading what="the analysis" />
      </Page>
    );
  }
  if (!data) {
    return (
      <Page title="Analysis">
        <Problem error={error} />
      </Page>
    );
  }
  const { body: analysis, etag } = data;
  const model = models.data?.find(({ name }) => name === analysis.analysis_type);
  const title = `${typeName(analysis.analysis_type)} analysis${upload.data?.body.name ? ` of ${upload.data.body.name}` : ""}`;
  return (
    <Page title={title} actions={<Actions analysis={analysis} etag={etag} />}>
      {error && <Problem error={error} />}
      <StatusPanel analysis={analysis} upload={upload.data?.body} />
      {isLive(analysis.state) && model && (
        <Panel title="What it does">
          <p>{model.description}</p>
          <p className="muted">It makes {model.produces.join(", ")}.</p>
        </Panel>
      )}
      {analysis.state === "succeeded" && <ResultParts analysis={analysis} model={model} />}
    </Page>
  );
}
