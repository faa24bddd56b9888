import { type ReactNode, useEffect, useMemo, useRef, useState } from "react";
import { number } from "../lib/format";
import { Button, DataTable, Notice, Select } from "../ui";
import { type Camera, fitted, onScreen, panned, radius, type Size, zoomed } from "./camera";
import { coloursByCategory, coloursByNumber } from "./colours";
import { type Category, type Cells, MISSING } from "./columns";
import "./embedding.css";
import { GeneSearch } from "./GeneSearch";
import { ColourBar, Legend, type LegendEntry } from "./Legend";
import { type Pointed, Scatter, type Timed, WARM_UP } from "./Scatter";
import { counts, drawn, gathered, middles, range } from "./selection";
import { byGroup } from "./summary";
import { useTheme } from "./theme";

/** A gene's values, and when they had arrived. */
export interface Expression {
  gene: string;
  values: Float32Array;
  arrived: number;
}

interface Props {
  /** Null while they are on their way: the canvas and its shaders are made ready meanwhile. */
  cells: Cells | null;
  arrived: number;
  /** The gene wanted; its values follow. Null: colours are those of groups. */
  gene: string | null;
  expression: Expression | null;
  onGene: (gene: string | null) => void;
  /** What became of the gene's values, where they are not there. */
  geneState?: ReactNode;
  title?: string;
}

const EMPTY: ReadonlySet<number> = new Set();
const NOTHING: Cells = { count: 0, x: new Float32Array(), y: new Float32Array(), categories: [], genes: [] };
const STEP = 60;
const NO_GROUP = "(none)";

function useSize() {
  const box = useRef<HTMLDivElement>(null);
  const [size, setSize] = useState<Size | null>(null);
  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const observer = new ResizeObserver(([entry]) => {
      if (entry) setSize({ width: entry.contentRect.width, height: entry.contentRect.height });
    });
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  return [box, size] as const;
}

function entriesOf(column: Category): LegendEntry[] {
  const sums = counts(column);
  return sums
    .map((cells, code) => ({
      code: code < column.categories.length ? code : MISSING,
      label: column.categories[code] ?? NO_GROUP,
      cells,
    }))
    .filter(({ cells }) => cells > 0);
}

/** A UMAP that is coloured by group or by gene. Everything that it shows is also in the table below it. */
export function Embedding({ cells: given, arrived, gene, expression, onGene, geneState, title = "UMAP" }: Props) {
  const cells = given ?? NOTHING;
  const theme = useTheme();
  const [webGl, setWebGl] = useState(true);
  const [box, size] = useSize();
  const [columnName, setColumnName] = useState("");
  const [hidden, setHidden] = useState(EMPTY);
  const [camera, setCamera] = useState<Camera | null>(null);
  const [pointed, setPointed] = useState<Pointed | null>(null);
  const [labels, setLabels] = useState(true);
  const chosen = useRef(0);
  const latest = useRef(0);

  const column = cells.categories.find(({ name }) => name === columnName) ?? cells.categories[0];
  const values = expression !== null && expression.gene === gene ? expression.values : null;
  const entries = useMemo(() => (column ? entriesOf(column) : []), [column]);
  const valueRange = useMemo(() => (values ? range(values) : ([0, 0] as [number, number])), [values]);
  const home = useMemo(() => (size ? fitted(cells.x, cells.y, size) : null), [cells, size]);
  const view = camera ?? home;

  const order = useMemo(() => drawn(column, hidden, values, cells.count), [cells, column, hidden, values]);
  const positions = useMemo(() => gathered(cells.x, cells.y, order), [cells, order]);
  const colours = useMemo(() => {
    if (values) return coloursByNumber(values, valueRange, order, theme);
    if (column) return coloursByCategory(column.codes, column.categories.length, order, theme);
    return new Uint8ClampedArray(order.length * 4).fill(128);
  }, [column, order, theme, valueRange, values]);
  const size0 = radius(cells.count, view && home ? view.zoom - home.zoom : 0);
  const points = useMemo(
    () => (given ? { positions, colours, radius: size0 } : WARM_UP),
    [given, positions, colours, size0],
  );

  // biome-ignore lint/correctness/useExhaustiveDependencies: a change of colours is what is measured, not one of the camera
  const timed: Timed | null = useMemo(() => {
    if (!given) return null;
    const name = latest.current === 0 ? "embedding:draw" : "embedding:colour";
    const there = Math.max(arrived, chosen.current, values && expression ? expression.arrived : 0);
    // Another theme brings nothing new: its change begins now.
    const since = there === latest.current ? performance.now() : there;
    latest.current = there;
    return { name, since };
  }, [colours, given]);

  const change = (how: () => void) => {
    chosen.current = performance.now();
    setPointed(null);
    how();
  };
  const hide = (next: ReadonlySet<number>) => change(() => setHidden(next));
  const move = (next: (camera: Camera) => Camera) => view && setCamera(next(view));

  const cell = pointed ? order[pointed.place] : undefined;
  const what = values ? `expression of ${gene}` : (column?.name ?? "nothing");

  return (
    <div className="embedding">
      <div className="row embedding-controls">
        <Select
          label="Colour by group"
          value={column?.name ?? ""}
          options={cells.categories.map(({ name }) => ({ value: name, label: name }))}
          onChange={(name) =>
            change(() => {
              setColumnName(name);
              setHidden(EMPTY);
              onGene(null);
            })
          }
        />
        {cells.genes.length > 0 && (
          <GeneSearch genes={cells.genes} value={gene} onChange={(name) => change(() => onGene(name))} />
        )}
        {gene !== null && (
          <Button onPress={() => change(() => onGene(null))}>Back to {column?.name ?? "groups"}</Button>
        )}
        <label className="row check">
          <input type="checkbox" checked={labels} onChange={(event) => setLabels(event.target.checked)} />
          Labels
        </label>
      </div>
      {geneState}
      <div className="embedding-body">
        <div className="embedding-plot">
          <div
            ref={box}
            className="scatter"
            role="img"
            aria-label={
              given
                ? `${title} of ${number(order.length)} of ${number(cells.count)} cells, coloured by ${what}. The table below has the numbers.`
                : title
            }
          >
            {!webGl && (
              <Notice tone="warn" title="The cells cannot be drawn: this browser has no WebGL, or lost it.">
                <span>
                  Reload the page, turn hardware acceleration on, or use another browser. HeartMAP's figures and the
                  table show the same.
                </span>
              </Notice>
            )}
            {webGl && size && view && (
              <Scatter
                points={points}
                camera={view}
                size={size}
                timed={timed}
                onCamera={setCamera}
                onPoint={setPointed}
                onBroken={() => setWebGl(false)}
              />
            )}
            {!given && webGl && <p className="scatter-wait">Loading the cells …</p>}
            {webGl && size && view && labels && column && (
              <Labels column={column} cells={cells} hidden={hidden} camera={view} size={size} />
            )}
            {webGl && pointed && cell !== undefined && size && (
              <Tip pointed={pointed} size={size}>
                {cells.categories.map(({ name, codes, categories }) => (
                  <span key={name}>
                    {name} <strong>{categories[codes[cell] as number] ?? NO_GROUP}</strong>
                  </span>
                ))}
                {values && (
                  <span>
                    {gene} <strong>{(values[cell] as number).toFixed(2)}</strong>
                  </span>
                )}
              </Tip>
            )}
          </div>
          {webGl && (
            <fieldset className="row camera">
              <legend className="visually-hidden">Camera</legend>
              <Button aria-label="Zoom in" onPress={() => move((now) => zoomed(now, 0.5))}>
                +
              </Button>
              <Button aria-label="Zoom out" onPress={() => move((now) => zoomed(now, -0.5))}>
                −
              </Button>
              <Button aria-label="Move left" onPress={() => move((now) => panned(now, -STEP, 0))}>
                ←
              </Button>
              <Button aria-label="Move right" onPress={() => move((now) => panned(now, STEP, 0))}>
                →
              </Button>
              <Button aria-label="Move up" onPress={() => move((now) => panned(now, 0, STEP))}>
                ↑
              </Button>
              <Button aria-label="Move down" onPress={() => move((now) => panned(now, 0, -STEP))}>
                ↓
              </Button>
              <Button onPress={() => setCamera(null)} isDisabled={camera === null}>
                Reset
              </Button>
              <span className="muted" role="status">
                {number(order.length)} of {number(cells.count)} cells
              </span>
            </fieldset>
          )}
        </div>
        <div className="embedding-side">
          {values && <ColourBar range={valueRange} title={`${gene}, log-normalised expression`} theme={theme} />}
          {column && (
            <Legend
              column={column}
              entries={entries}
              hidden={hidden}
              theme={theme}
              plain={values !== null}
              onHidden={hide}
            />
          )}
        </div>
      </div>
      {column && <Table column={column} entries={entries} values={values} gene={gene} />}
    </div>
  );
}

/** The name of each group at its middle, so that colour is not all that tells them apart. */
function Labels({
  column,
  cells,
  hidden,
  camera,
  size,
}: {
  column: Category;
  cells: Cells;
  hidden: ReadonlySet<number>;
  camera: Camera;
  size: Size;
}) {
  const places = useMemo(() => middles(column, cells.x, cells.y), [column, cells]);
  return (
    <svg className="scatter-labels" width={size.width} height={size.height} aria-hidden="true">
      {places.map((place, code) => {
        if (!place || hidden.has(code)) return null;
        const [x, y] = onScreen(camera, size, ...place);
        return (
          <text key={column.categories[code]} x={x} y={y}>
            {column.categories[code]}
          </text>
        );
      })}
    </svg>
  );
}

function Tip({ pointed, size, children }: { pointed: Pointed; size: Size; children: ReactNode }) {
  const right = pointed.x > size.width / 2;
  const below = pointed.y > size.height / 2;
  return (
    <div
      className="scatter-tip"
      style={{
        [right ? "right" : "left"]: (right ? size.width - pointed.x : pointed.x) + 12,
        [below ? "bottom" : "top"]: (below ? size.height - pointed.y : pointed.y) + 12,
      }}
    >
      {children}
    </div>
  );
}

interface Row extends LegendEntry {
  mean: number;
  expressing: number;
}

function Table({
  column,
  entries,
  values,
  gene,
}: {
  column: Category;
  entries: readonly LegendEntry[];
  values: Float32Array | null;
  gene: string | null;
}) {
  const rows: Row[] = useMemo(() => {
    const groups = values ? byGroup(column, values) : [];
    return entries.map((entry) => {
      const group = groups[entry.code === MISSING ? column.categories.length : entry.code];
      return { ...entry, mean: group?.mean ?? 0, expressing: group?.expressing ?? 0 };
    });
  }, [column, entries, values]);
  return (
    <details>
      <summary>As a table</summary>
      <DataTable
        caption={values ? `${gene} by ${column.name}` : `Cells by ${column.name}`}
        rows={rows}
        rowKey={({ code }) => String(code)}
        columns={[
          { id: "group", header: column.name, value: (row) => row.label },
          { id: "cells", header: "Cells", value: (row) => row.cells, cell: (row) => number(row.cells), number: true },
          ...(values
            ? [
                {
                  id: "mean",
                  header: "Mean expression",
                  value: (row: Row) => row.mean,
                  cell: (row: Row) => row.mean.toFixed(3),
                  number: true,
                },
                {
                  id: "expressing",
                  header: "Cells with it",
                  value: (row: Row) => row.expressing,
                  cell: (row: Row) => `${(100 * row.expressing).toFixed(1)}\u00a0%`,
                  number: true,
                },
              ]
            : []),
        ]}
      />
    </details>
  );
}
