import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useEffect } from "react";
import { useNavigate, useSearchParams } from "react-router";
import { api, type Configuration, type Estimate, type Model, segment, type Upload } from "../lib/api";
import { useConfiguration, useModels } from "../lib/configuration";
import { amend, chosen, commandWords, draft, keyOf, startOver } from "../lib/draft";
import { useCan, useSession } from "../lib/session";
import { useStore } from "../lib/store";
import { cancel, type Transfer, transfer } from "../lib/upload";
import { asOption, visibleTo, wrong } from "../lib/visibility";
import { Button, CliCommand, Empty, Loading, Page, Panel, Problem, VisibilityField } from "../ui";
import { DataSet, useChosenUpload } from "./new/DataSet";
import { estimated, Options } from "./new/Options";
import "./new/new.css";

/** What a link asks for: a data set of the list, the type of an analysis to be run again. */
function useLinked() {
  const [words] = useSearchParams();
  const upload = words.get("upload");
  const type = words.get("type");
  useEffect(() => {
    if (upload) amend({ earlier: upload });
    if (type) amend({ type });
  }, [upload, type]);
}

function missing(upload: Upload | undefined, sent: Transfer | null): string | null {
  if (upload?.state === "accepted") return null;
  if (upload?.state === "rejected") return "The data set was rejected: choose another.";
  if (upload) return "The data set is being checked.";
  if (!sent) return "Choose a data set.";
  return sent.state === "refused"
    ? "The file cannot be analysed: choose another."
    : "The data set has not arrived yet.";
}

function Run({ models, configuration, upload }: { models: Model[]; configuration?: Configuration; upload?: Upload }) {
  const { type, typed, visibility } = useStore(draft);
  const sent = useStore(transfer);
  const { data: session } = useSession();
  const queries = useQueryClient();
  const navigate = useNavigate();
  const model = models.find((each) => each.name === type);
  const { options, errors } = model ? chosen(model, typed, configuration) : { options: {}, errors: {} };
  const run = useMutation({
    mutationFn: () => {
      const body = { upload_id: upload?.upload_id, analysis_type: type, options, visibility };
      return api.post<{ analysis_id: string }>("/api/analyses", body, { "Idempotency-Key": keyOf(body) });
    },
    onSuccess: ({ analysis_id }) => {
      // Another file may still be on its way.
      if (transfer.get()?.uploadId === upload?.upload_id) cancel();
      startOver();
      void queries.invalidateQueries({ queryKey: ["analyses"] });
      navigate(`/analyses/${segment(analysis_id)}`);
    },
  });
  const blocked = [
    missing(upload, sent),
    model ? null : "Choose a type of analysis.",
    Object.keys(errors).length > 0 ? `Correct ${Object.keys(errors).join(", ").replaceAll("_", " ")}.` : null,
    wrong(visibility),
  ].filter((each) => each !== null);
  const estimate = model && (upload?.estimates as Record<string, Estimate> | undefined)?.[model.name];
  const what = upload?.upload_id ?? sent?.file.name ?? "cells.h5ad";
  return (
    <Panel title="3. Run">
      <VisibilityField
        label="The analysis is visible to"
        value={visibility}
        onChange={(next) => amend({ visibility: next })}
      />
      <dl className="facts">
        <dt>Data set</dt>
        <dd>{upload?.name ?? sent?.file.name ?? "none yet"}</dd>
        <dt>Type</dt>
        <dd>{model?.title ?? "none yet"}</dd>
        <dt>Visible to</dt>
        <dd>{visibleTo(visibility, session?.subject)}</dd>
        <dt>Estimate</dt>
        <dd>
          {estimate
            ? `${estimated(estimate)}${Object.keys(options).length > 0 ? ", as configured: your options change it" : ""}`
            : upload?.state === "accepted"
              ? "none for this type"
              : "told once the data set is checked"}
        </dd>
      </dl>
      {run.isError && <Problem error={run.error} />}
      <div className="row">
        <Button kind="primary" onPress={() => run.mutate()} isDisabled={blocked.length > 0} isPending={run.isPending}>
          {run.isPending ? "Submitting …" : "Run the analysis"}
        </Button>
        <div role="status" className="muted">
          {blocked.join(" ")}
        </div>
      </div>
      <CliCommand words={commandWords(what, type ?? "comprehensive", options, asOption(visibility))} />
    </Panel>
  );
}

function Steps() {
  useLinked();
  const models = useModels();
  const configuration = useConfiguration();
  const upload = useChosenUpload().data?.body;
  return (
    <>
      <DataSet />
      {models.isPending && <Loading what="the types of analysis" />}
      {models.isError && <Problem error={models.error} />}
      {configuration.isError && <Problem error={configuration.error} />}
      {models.data && (
        <>
          <Options
            models={models.data}
            configuration={configuration.data?.body}
            estimates={upload?.estimates as Record<string, Estimate> | undefined}
          />
          <Run models={models.data} configuration={configuration.data?.body} upload={upload} />
        </>
      )}
    </>
  );
}

export default function NewAnalysis() {
  const analyst = useCan("analyst");
  return (
    <Page title="New analysis">
      {analyst ? <Steps /> : <Empty>Your role reads what is shared. Analysts and administrators run analyses.</Empty>}
    </Page>
  );
}
