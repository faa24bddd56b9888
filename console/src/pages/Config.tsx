import type { Answer, Configuration } from "../lib/api";
import { type Options, optionsOf, rangeOf, shown, useConfiguration, useModels, valuesOf } from "../lib/configuration";
import { moment } from "../lib/format";
import { useCan } from "../lib/session";
import { usePrincipalName } from "../lib/users";
import { CliCommand, DataTable, Loading, Page, Panel, Problem } from "../ui";
import { Editor } from "./config/Editor";
import { History } from "./config/History";
import "./admin.css";
import "./Config.css";

export default function Config() {
  const admin = useCan("admin");
  const nameOf = usePrincipalName();
  const configuration = useConfiguration();
  const models = useModels();
  const latest = configuration.data;
  const options = models.data && optionsOf(models.data);
  return (
    <Page title="Configuration" lead="What an analysis runs with, where it does not say something else itself.">
      {(configuration.isPending || models.isPending) && <Loading what="the configuration" />}
      {configuration.error && <Problem error={configuration.error} />}
      {models.error && <Problem error={models.error} />}
      {latest && options && (
        <>
          <Panel title={`Version ${latest.body.version}`}>
            <p className="muted">
              {latest.body.changed_by
                ? `Written ${moment(latest.body.changed_at)} by ${nameOf(latest.body.changed_by)}.`
                : "HeartMAP’s own values, written by nobody."}
            </p>
            {admin ? <Editor latest={latest} options={options} /> : <Values latest={latest} options={options} />}
            <CliCommand words={["config", "show"]} />
          </Panel>
          <History latest={latest} />
        </>
      )}
    </Page>
  );
}

function Values({ latest, options }: { latest: Answer<Configuration>; options: Options }) {
  const values = valuesOf(latest.body);
  return (
    <DataTable
      caption="Values"
      rows={Object.entries(options)}
      rowKey={([field]) => field}
      columns={[
        { id: "field", header: "Field", value: ([field]) => field, cell: ([field]) => <code>{field}</code> },
        {
          id: "value",
          header: "Value",
          value: ([field]) => values[field],
          cell: ([field]) => <strong>{shown(values[field])}</strong>,
          number: true,
        },
        { id: "meaning", header: "What it means", value: ([, option]) => option.description, sortable: false },
        { id: "range", header: "Takes", value: ([, option]) => rangeOf(option), sortable: false },
        {
          id: "own",
          header: "HeartMAP’s own",
          value: ([, option]) => option.default,
          cell: ([, option]) => shown(option.default),
          number: true,
        },
      ]}
    />
  );
}
