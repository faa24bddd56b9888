import "./meter.css";

/** A bar of a chart whose number stands beside it, so that readers are not told twice. */
export function Meter({ share, colour }: { share: number; colour?: string }) {
  return (
    <svg className="chart-bar" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">
      <rect width={100 * share} height="10" fill={colour ?? "currentColor"} />
    </svg>
  );
}
