import { useState } from "react";
import { Label, Radio, RadioGroup } from "react-aria-components";
import { named, type Visibility, wrong } from "../lib/visibility";
import { TextArea } from ".";

type Kind = "private" | "shared" | "named";

function kindOf(visibility: Visibility): Kind {
  return typeof visibility === "string" ? visibility : "named";
}

/** Who may see it: a choice of three, and the people where they are named. */
export function VisibilityField({
  value,
  onChange,
  label = "Visible to",
}: {
  value: Visibility;
  onChange: (visibility: Visibility) => void;
  label?: string;
}) {
  // What was typed, as it was typed.
  const [text, setText] = useState(() => (typeof value === "string" ? "" : value.join("\n")));
  const kind = kindOf(value);
  return (
    <div className="field">
      <RadioGroup
        className="radios"
        value={kind}
        onChange={(next) => onChange(next === "named" ? named(text) : (next as "private" | "shared"))}
      >
        <Label className="label">{label}</Label>
        <Radio className="radio" value="private">
          Only me and the administrators
        </Radio>
        <Radio className="radio" value="shared">
          Everyone with a role in this environment
        </Radio>
        <Radio className="radio" value="named">
          People whom I name
        </Radio>
      </RadioGroup>
      {kind === "named" && (
        <TextArea
          label="Ids of the people, one a line"
          hint='They copy theirs with "Copy my id", or find it as "subject" in: heartmapctl whoami --json'
          value={text}
          error={text ? (wrong(value) ?? undefined) : undefined}
          onChange={(next) => {
            setText(next);
            onChange(named(next));
          }}
        />
      )}
    </div>
  );
}
