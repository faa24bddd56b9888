import { measured, number } from "../lib/format";
import { Button } from "../ui";
import { categoryColour, css, missingColour, type Rgb, scaleColour, type Theme } from "./colours";
import type { Category } from "./columns";

const MOST = 200;

export function Swatch({ colour }: { colour: Rgb }) {
  return (
    <svg className="swatch" viewBox="0 0 12 12" aria-hidden="true">
      <circle cx="6" cy="6" r="6" fill={css(colour)} />
    </svg>
  );
}

export interface LegendEntry {
  code: number;
  label: string;
  cells: number;
}

/** Each group with its colour and its cells. Unchecked ones are not drawn; "Only" leaves one. */
export function Legend({
  column,
  entries,
  hidden,
  theme,
  plain,
  onHidden,
}: {
  column: Category;
  entries: readonly LegendEntry[];
  hidden: ReadonlySet<number>;
  theme: Theme;
  /** Colours mean something else at the moment. */
  plain: boolean;
  onHidden: (hidden: ReadonlySet<number>) => void;
}) {
  const toggle = (code: number) => {
    const next = new Set(hidden);
    if (!next.delete(code)) next.add(code);
    onHidden(next);
  };
  const only = (code: number) => onHidden(new Set(entries.map((entry) => entry.code).filter((each) => each !== code)));
  const colour = (code: number) =>
    code < column.categories.length ? categoryColour(code, theme) : missingColour(theme);
  return (
    <fieldset className="legend">
      <legend>{column.name}</legend>
      <ul>
        {entries.slice(0, MOST).map(({ code, label, cells }) => (
          <li key={code}>
            <label>
              <input type="checkbox" checked={!hidden.has(code)} onChange={() => toggle(code)} />
              {!plain && <Swatch colour={colour(code)} />}
              <span className="legend-name">{label}</span>
              <span className="legend-count">
                {number(cells)}
                <span className="visually-hidden"> cells</span>
              </span>
            </label>
            <Button
              kind="plain"
              className="legend-only"
              onPress={() => only(code)}
              aria-label={`Show only ${column.name} ${label}`}
            >
              Only
            </Button>
          </li>
        ))}
      </ul>
      {entries.length > MOST && <p className="hint">and {number(entries.length - MOST)} more</p>}
      <Button isDisabled={hidden.size === 0} onPress={() => onHidden(new Set())}>
        Show all
      </Button>
    </fieldset>
  );
}

const BANDS = 48;

/** What the colours of numbers mean. */
export function ColourBar({
  range: [low, high],
  title,
  theme,
}: {
  range: readonly [number, number];
  title: string;
  theme: Theme;
}) {
  return (
    <figure className="colour-bar">
      <figcaption>{title}</figcaption>
      <svg viewBox={`0 0 ${BANDS} 4`} preserveAspectRatio="none" aria-hidden="true" shapeRendering="crispEdges">
        {Array.from({ length: BANDS }, (_, band) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: the bands are always the same
          <rect key={band} x={band} y={0} width={1.05} height={4} fill={css(scaleColour(band / (BANDS - 1), theme))} />
        ))}
      </svg>
      <div className="colour-bar-ends">
        <span>{measured(low)}</span>
        <span>{measured((low + high) / 2)}</span>
        <span>{measured(high)}</span>
      </div>
    </figure>
  );
}
