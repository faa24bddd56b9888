import { Label, Radio, RadioGroup } from "react-aria-components";
import type { Configuration, Estimate, Model } from "../../lib/api";
import { type Option, rangeOf } from "../../lib/configuration";
import { amend, asText, chosen, draft, standing } from "../../lib/draft";
import { bytes, duration, money } from "../../lib/format";
import { useStore } from "../../lib/store";
import { Button, Field, Panel } from "../../ui";

export function estimated({ memory_bytes, seconds, usd }: Estimate): string {
  return `about ${duration(seconds)}, ${bytes(memory_bytes)} of memory, ${money(usd)}`;
}

function Types({ models, estimates }: { models: readonly Model[]; estimates: Record<string, Estimate> | undefined }) {
  const { type } = useStore(draft);
  return (
    <RadioGroup className="field types" value={type} onChange={(next) => amend({ type: next })}>
      <Label className="label">Type of analysis</Label>
      {models.map((model) => {
        const estimate = estimates?.[model.name];
        return (
          <Radio
            key={model.name}
            className="radio type"
            value={model.name}
            aria-labelledby={`type-${model.name}`}
            aria-describedby={`about-${model.name}`}
          >
            <span className="type-words">
              <strong id={`type-${model.name}`}>{model.title}</strong>
              <span id={`about-${model.name}`} className="type-words">
                <span>{model.description}</span>
                <span className="hint">Needs {model.needs}.</span>
                {estimate && <span className="hint">Takes {estimated(estimate)}.</span>}
              </span>
            </span>
          </Radio>
        );
      })}
    </RadioGroup>
  );
}

function hintOf(option: Option): string {
  const range = rangeOf(option);
  // The service says "null"; in a field it is emptiness.
  return `${option.description.replace("; null: all", "")} ${range.charAt(0).toUpperCase()}${range.slice(1)}${option.nullable ? " (empty)" : ""}.`;
}

function Fields({ model, configuration }: { model: Model; configuration: Configuration | undefined }) {
  const { typed } = useStore(draft);
  const names = Object.keys(model.options);
  const { options, errors } = chosen(model, typed, configuration);
  if (names.length === 0) return <p className="muted">This type has no options.</p>;
  return (
    <fieldset className="options">
      <legend>Options</legend>
      <div className="option-grid">
        {Object.entries(model.options).map(([name, option]) => {
          const value = standing(name, option, configuration);
          return (
            <Field
              key={name}
              label={name.replaceAll("_", " ")}
              hint={hintOf(option)}
              inputMode={option.type === "integer" ? "numeric" : "decimal"}
              autoComplete="off"
              value={typed[name] ?? asText(value)}
              error={errors[name]}
              onChange={(text) => amend({ typed: { ...typed, [name]: text } })}
            />
          );
        })}
      </div>
      <div className="row">
        <Button onPress={() => amend({ typed: {} })} isDisabled={names.every((name) => typed[name] === undefined)}>
          Back to the configuration
        </Button>
        <span className="muted" role="status">
          {Object.keys(errors).length > 0
            ? "Some are not right yet."
            : Object.keys(options).length === 0
              ? "All as the environment is configured."
              : `Changed: ${Object.keys(options).join(", ").replaceAll("_", " ")}.`}
        </span>
      </div>
    </fieldset>
  );
}

export function Options({
  models,
  configuration,
  estimates,
}: {
  models: readonly Model[];
  configuration: Configuration | undefined;
  estimates: Record<string, Estimate> | undefined;
}) {
  const { type } = useStore(draft);
  const model = models.find((each) => each.name === type);
  return (
    <Panel title="2. Type and options">
      <Types models={models} estimates={estimates} />
      {model && <Fields model={model} configuration={configuration} />}
      {model && model.left_out.length > 0 && (
        <details>
          <summary>What this type does not give</summary>
          <ul>
            {model.left_out.map(({ what, why }) => (
              <li key={what}>
                <strong>{what}</strong>: {why}
              </li>
            ))}
          </ul>
        </details>
      )}
    </Panel>
  );
}
