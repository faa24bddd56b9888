import { useEffect, useMemo, useRef, useState } from "react";
import { Link } from "react-router";
import uPlot from "uplot";
import { type AuditRecord, binLabel, DECISIONS, type Span, timeOf } from "../../lib/audit";
import { type Bins, bins, stacked } from "../../lib/bins";
import { number } from "../../lib/format";
import "uplot/dist/uPlot.min.css";

const HEIGHT = 180;
const WHOLE = [1, 2, 5]
  .flatMap((step) => [0, 1, 2, 3, 4, 5, 6].map((power) => step * 10 ** power))
  .sort((a, b) => a - b);

/** Decisions over time, stacked. A bar or a stretch that is picked narrows the search; the table says the same. */
export function Chart({
  records,
  span,
  narrow,
  onPick,
}: {
  records: readonly AuditRecord[];
  span: Span;
  /** The address of the search narrowed to a decision or a stretch of time. */
  narrow: (to: { decision?: string; since?: string; until?: string }) => string;
  onPick: (address: string) => void;
}) {
  const counted = useMemo(() => {
    const offset = -new Date(span.from).getTimezoneOffset() * 60_000;
    return bins(records, span, DECISIONS, timeOf, (record) => record.decision ?? "", offset);
  }, [records, span]);
  const [hovered, setHovered] = useState<number | null>(null);
  const totals = DECISIONS.map((decision) => sum(counted.counts[decision] ?? []));
  const stretch = (from: number, to: number) =>
    narrow({ since: new Date(from).toISOString(), until: new Date(to - 1).toISOString() });
  const words = DECISIONS.map((decision, index) => `${number(totals[index] ?? 0)} ${decision}`).join(", ");
  return (
    <figure className="chart">
      <ul className="legend">
        {DECISIONS.map((decision, index) => (
          <li key={decision}>
            <span className="swatch" data-decision={decision} />
            <Link to={narrow({ decision })}>{decision}</Link> {number(totals[index] ?? 0)}
          </li>
        ))}
      </ul>
      <Bars
        counted={counted}
        label={`Decisions over time: ${words}. The table below says the same.`}
        onHover={setHovered}
        onPick={(from, to) => onPick(stretch(from, to))}
      />
      <figcaption className="hint">
        {hovered === null ? "Click a bar, or draw over several, to see them alone." : said(counted, hovered)}
      </figcaption>
      <details>
        <summary>The same as a table</summary>
        <Counts counted={counted} address={(start) => stretch(start, start + counted.length)} />
      </details>
    </figure>
  );
}

function sum(counts: readonly number[]): number {
  return counts.reduce((total, count) => total + count, 0);
}

function said(counted: Bins, bin: number): string {
  const counts = DECISIONS.map((decision) => [decision, counted.counts[decision]?.[bin] ?? 0] as const);
  const words = counts.filter(([, count]) => count > 0).map(([decision, count]) => `${number(count)} ${decision}`);
  return `${binLabel(counted.starts[bin] ?? 0, counted.length)}: ${words.join(", ") || "nothing"}`;
}

function Counts({ counted, address }: { counted: Bins; address: (start: number) => string }) {
  const rows = counted.starts
    .map((start, bin) => ({ start, counts: DECISIONS.map((decision) => counted.counts[decision]?.[bin] ?? 0) }))
    .filter(({ counts }) => counts.some((count) => count > 0));
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls has to be reached by the keyboard (WCAG 2.1.1)
    <section className="table-box" tabIndex={0} aria-label="Decisions over time, as a table">
      <table className="table">
        <caption className="visually-hidden">Decisions over time, as a table</caption>
        <thead>
          <tr>
            <th scope="col">Time</th>
            {DECISIONS.map((decision) => (
              <th key={decision} scope="col" className="number">
                {decision}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map(({ start, counts }) => (
            <tr key={start}>
              <th scope="row">
                <Link to={address(start)}>{binLabel(start, counted.length)}</Link>
              </th>
              {counts.map((count, index) => (
                <td key={DECISIONS[index]} className="number">
                  {number(count)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

function Bars({
  counted,
  label,
  onHover,
  onPick,
}: {
  counted: Bins;
  label: string;
  onHover: (bin: number | null) => void;
  onPick: (from: number, to: number) => void;
}) {
  const box = useRef<HTMLDivElement>(null);
  const theme = useTheme();
  const told = useRef({ onHover, onPick });
  told.current = { onHover, onPick };
  // biome-ignore lint/correctness/useExhaustiveDependencies: a theme has other colours
  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const plot = draw(element, counted, told.current);
    const sized = new ResizeObserver(() => plot.setSize({ width: element.clientWidth, height: HEIGHT }));
    sized.observe(element);
    return () => {
      sized.disconnect();
      plot.destroy();
    };
  }, [counted, theme]);
  return <div ref={box} className="bars" role="img" aria-label={label} />;
}

function draw(
  element: HTMLElement,
  counted: Bins,
  told: { onHover: (bin: number | null) => void; onPick: (from: number, to: number) => void },
): uPlot {
  const { starts, length, counts } = counted;
  const first = starts[0] ?? 0;
  const end = first + starts.length * length;
  const binAt = (plot: uPlot, left: number) =>
    Math.min(starts.length - 1, Math.max(0, Math.floor((plot.posToVal(left, "x") - first) / length)));
  const style = getComputedStyle(element);
  const ink = style.color;
  const line = style.getPropertyValue("--line").trim();
  const axis = { stroke: ink, font: `12px ${style.fontFamily}`, ticks: { stroke: line, width: 1 } };
  // The highest first: each lower one is drawn over it, and leaves its own part to be seen.
  const series = [...DECISIONS].reverse();
  const heights = stacked(counts, DECISIONS).reverse();
  const bars = uPlot.paths.bars?.({ size: [0.86], align: 1 });
  let drawn = false;
  const plot = new uPlot(
    {
      width: element.clientWidth,
      height: HEIGHT,
      ms: 1,
      legend: { show: false },
      // Half of the last label stands beyond the last bar.
      padding: [null, 28, null, null],
      cursor: { y: false, points: { show: false }, drag: { x: true, y: false, setScale: false, dist: 6 } },
      scales: { x: { range: [first, end] }, y: { range: (_, __, most) => [0, Math.max(1, most)] } },
      axes: [
        { ...axis, grid: { show: false } },
        { ...axis, grid: { stroke: line, width: 1 }, size: 48, incrs: WHOLE, values: (_, ticks) => ticks.map(number) },
      ],
      series: [
        {},
        ...series.map((decision) => ({
          label: decision,
          fill: colour(element, decision),
          width: 0,
          points: { show: false },
          paths: bars,
        })),
      ],
      hooks: {
        setCursor: [
          (self) => {
            const left = self.cursor.left ?? -1;
            told.onHover(left < 0 ? null : binAt(self, left));
          },
        ],
        setSelect: [
          (self) => {
            const { left, width } = self.select;
            if (width <= 0) return;
            drawn = true;
            told.onPick(first + binAt(self, left) * length, first + (binAt(self, left + width) + 1) * length);
          },
        ],
      },
    },
    [starts, ...heights],
    element,
  );
  plot.over.addEventListener("click", (event) => {
    if (!drawn) {
      const from = first + binAt(plot, event.offsetX) * length;
      told.onPick(from, from + length);
    }
    drawn = false;
  });
  return plot;
}

/** As the legend has it: the style sheet knows the colours of the themes. */
function colour(element: HTMLElement, decision: string): string {
  const swatch = element.parentElement?.querySelector(`.swatch[data-decision="${decision}"]`);
  return swatch ? getComputedStyle(swatch).backgroundColor : getComputedStyle(element).color;
}

/** Changes with the theme, whether the page or the system says which. */
function useTheme(): number {
  const [changes, setChanges] = useState(0);
  useEffect(() => {
    const changed = () => setChanges((count) => count + 1);
    const system = matchMedia("(prefers-color-scheme: dark)");
    const page = new MutationObserver(changed);
    system.addEventListener("change", changed);
    page.observe(document.documentElement, { attributeFilter: ["data-theme"] });
    return () => {
      system.removeEventListener("change", changed);
      page.disconnect();
    };
  }, []);
  return changes;
}
