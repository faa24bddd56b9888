import { useQuery } from "@tanstack/react-query";
import { useSearchParams } from "react-router";
import { api, type Overview } from "../lib/api";
import { moment } from "../lib/format";
import { typeName } from "../lib/states";
import { Button, Loading, Panel, Problem, Select } from "../ui";

const NONE = "";

function useSucceeded() {
  return useQuery({
    queryKey: ["analyses", "to compare"],
    queryFn: async ({ signal }) => {
      const { analyses } = await api.get<{ analyses: Overview[] }>("/api/analyses?limit=100", signal);
      return analyses.filter(({ state }) => state === "succeeded");
    },
  });
}

/** The two that are compared; the address says which, so that it can be sent to someone. */
export function Choose({ a, b }: { a: string; b: string }) {
  const [, setParams] = useSearchParams();
  const { data, error, isPending } = useSucceeded();
  const choose = (next: { a: string; b: string }) =>
    setParams(Object.fromEntries(Object.entries(next).filter(([, id]) => id !== NONE)), { replace: true });
  const options = (other: string, own: string) => {
    const listed = (data ?? []).filter(({ analysis_id }) => analysis_id !== other);
    const known = own === NONE || listed.some(({ analysis_id }) => analysis_id === own);
    return [
      { value: NONE, label: "Choose an analysis" },
      ...listed.map((each) => ({
        value: each.analysis_id,
        label: `${typeName(each.analysis_type)}, ${moment(each.created_at)}, ${each.analysis_id.slice(-6)}`,
      })),
      // Older than those listed.
      ...(known ? [] : [{ value: own, label: own }]),
    ];
  };
  return (
    <Panel title="Which two">
      {isPending && <Loading what="the analyses" />}
      {error && <Problem error={error} />}
      <div className="row choose">
        <Select label="Analysis A" value={a} options={options(b, a)} onChange={(id) => choose({ a: id, b })} />
        <Select label="Analysis B" value={b} options={options(a, b)} onChange={(id) => choose({ a, b: id })} />
        <Button isDisabled={a === NONE && b === NONE} onPress={() => choose({ a: b, b: a })}>
          Swap A and B
        </Button>
      </div>
      {data && data.length < 2 && <p>There are fewer than two analyses that have succeeded and that you may see.</p>}
    </Panel>
  );
}
