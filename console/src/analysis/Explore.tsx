import type { RefObject } from "react";
import { Embedding } from "../embedding/Embedding";
import { Loading, Notice, Panel, Problem } from "../ui";
import { useCells, useExpression } from "./queries";

/** The embedding, where the analysis made one. */
export function Explore({
  id,
  gene,
  onGene,
  place,
}: {
  id: string;
  gene: string | null;
  onGene: (gene: string | null) => void;
  place: RefObject<HTMLDivElement | null>;
}) {
  const cells = useCells(id);
  const expression = useExpression(id, gene, cells.data?.cells.count);
  if (cells.data === null) return null;
  return (
    <div id="embedding" ref={place} tabIndex={-1}>
      <Panel title="Embedding">
        {cells.error ? (
          <CellsFailed error={cells.error} />
        ) : (
          <Embedding
            cells={cells.data?.cells ?? null}
            arrived={cells.data?.arrived ?? 0}
            gene={gene}
            expression={expression.data ?? null}
            onGene={onGene}
            geneState={
              <>
                {expression.isFetching && <Loading what={`the values of ${gene}`} />}
                {expression.error && <Problem error={expression.error} />}
              </>
            }
          />
        )}
      </Panel>
    </div>
  );
}

function CellsFailed({ error }: { error: Error }) {
  return error.name === "BadColumns" ? <Notice tone="bad" live title={error.message} /> : <Problem error={error} />;
}
