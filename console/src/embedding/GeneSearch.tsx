import { useMemo, useState } from "react";
import { Button as AriaButton, ComboBox, Input, Label, ListBox, ListBoxItem, Popover } from "react-aria-components";
import { found } from "./genes";

/** One gene out of tens of thousands: what is typed is looked for in all of them, and the best few are offered. */
export function GeneSearch({
  genes,
  value,
  onChange,
}: {
  genes: readonly string[];
  value: string | null;
  onChange: (gene: string | null) => void;
}) {
  const [text, setText] = useState(value ?? "");
  const [shown, setShown] = useState(value);
  if (shown !== value) {
    // Chosen elsewhere, as in the table of marker genes.
    setShown(value);
    setText(value ?? "");
  }
  const matches = useMemo(() => found(genes, text), [genes, text]);
  return (
    <ComboBox
      className="field gene-search"
      items={matches.map((name) => ({ id: name }))}
      inputValue={text}
      onInputChange={(typed) => {
        setText(typed);
        if (typed === "" && value !== null) onChange(null);
      }}
      selectedKey={value}
      onSelectionChange={(key) => {
        if (key !== null) {
          setText(String(key));
          onChange(String(key));
        } else setText(value ?? "");
      }}
      allowsEmptyCollection
      menuTrigger="input"
    >
      <Label>Colour by gene</Label>
      <div className="gene-search-box">
        <Input className="input" placeholder={`Any of ${genes.length.toLocaleString()}`} />
        <AriaButton className="gene-search-open">▾</AriaButton>
      </div>
      <Popover className="gene-search-popover">
        <ListBox<{ id: string }>
          className="gene-search-list"
          renderEmptyState={() => <span>No gene is named so.</span>}
        >
          {({ id }) => (
            <ListBoxItem className="gene-search-item" textValue={id}>
              {id}
            </ListBoxItem>
          )}
        </ListBox>
      </Popover>
    </ComboBox>
  );
}
