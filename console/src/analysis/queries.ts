import { useQuery } from "@tanstack/react-query";
import { decodeCells, decodeExpression } from "../embedding/columns";
import type { Expression } from "../embedding/Embedding";
import { type Analysis, ApiError, api, type ResultFile, segment, send } from "../lib/api";
import { readSummary, type Summary } from "./summary";
import type { Table } from "./tables";

const LIVE_MS = 2_000;
/** What a succeeded analysis left never changes. */
const FOR_EVER = { staleTime: Number.POSITIVE_INFINITY, refetchOnWindowFocus: false } as const;

export function isLive(state: Analysis["state"] | undefined): boolean {
  return state === "queued" || state === "running";
}

export const analysisKey = (id: string) => ["analysis", id] as const;

/** An analysis and the ETag that a change of it has to carry; asked for again while it runs. */
export function useAnalysis(id: string) {
  return useQuery({
    queryKey: analysisKey(id),
    queryFn: ({ signal }) => api.read<Analysis>(`/api/analyses/${segment(id)}`, signal),
    refetchInterval: (query) => (isLive(query.state.data?.body.state) ? LIVE_MS : false),
  });
}

export interface Results {
  files: ResultFile[];
  summary: Summary;
}

export function useResults(id: string, enabled = true) {
  return useQuery({
    queryKey: ["results", id],
    queryFn: async ({ signal }): Promise<Results> => {
      const given = await api.get<{ files: ResultFile[]; summary: unknown }>(
        `/api/analyses/${segment(id)}/results`,
        signal,
      );
      return { files: given.files, summary: readSummary(given.summary) };
    },
    enabled,
    ...FOR_EVER,
  });
}

/** Null where the analysis has no embedding. `arrived` is the moment at which the bytes were there. */
export function useCells(id: string, enabled = true) {
  return useQuery({
    queryKey: ["cells", id],
    queryFn: async ({ signal }) => {
      try {
        const buffer = await api.bytes(`/console/analyses/${segment(id)}/cells`, signal);
        const arrived = performance.now();
        return { cells: decodeCells(buffer), arrived };
      } catch (error) {
        if (error instanceof ApiError && error.code === "no_embedding") return null;
        throw error;
      }
    },
    enabled,
    // Compared member by member, as the library does by itself, 50,000 cells would take longer than to draw them.
    structuralSharing: false,
    ...FOR_EVER,
  });
}

export function useExpression(id: string, gene: string | null, count: number | undefined) {
  return useQuery({
    queryKey: ["expression", id, gene],
    queryFn: async ({ signal }): Promise<Expression> => {
      const name = gene ?? "";
      const buffer = await api.bytes(`/console/analyses/${segment(id)}/expression?gene=${segment(name)}`, signal);
      return { gene: name, arrived: performance.now(), values: decodeExpression(buffer, count ?? 0) };
    },
    enabled: gene !== null && count !== undefined,
    structuralSharing: false,
    // One gene of 50,000 cells is 200 kB.
    gcTime: 60_000,
    ...FOR_EVER,
  });
}

export function useTableOf(id: string, name: string, enabled = true) {
  return useQuery({
    queryKey: ["table", id, name],
    queryFn: ({ signal }) => api.get<Table>(`/console/analyses/${segment(id)}/tables/${segment(name)}`, signal),
    enabled,
    structuralSharing: false,
    ...FOR_EVER,
  });
}

export function useText(id: string, name: string, enabled = true) {
  return useQuery({
    queryKey: ["text", id, name],
    queryFn: async ({ signal }) =>
      (await send("GET", `/console/analyses/${segment(id)}/files/${segment(name)}`, { signal })).text(),
    enabled,
    ...FOR_EVER,
  });
}

export function useImage(id: string, name: string) {
  return useQuery({
    queryKey: ["image", id, name],
    queryFn: async ({ signal }) =>
      (await send("GET", `/console/analyses/${segment(id)}/files/${segment(name)}`, { signal })).blob(),
    structuralSharing: false,
    ...FOR_EVER,
  });
}

const TICKETS = "/console/downloads/";

/** Lets the browser fetch a file to disk, by a ticket for one use. */
export async function download(id: string, name: string): Promise<void> {
  const { path } = await api.post<{ path: string }>(TICKETS.slice(0, -1), { analysis_id: id, name });
  if (!path.startsWith(TICKETS)) throw new ApiError(0, "bad_ticket", "The console gave no place to download from.");
  const link = document.createElement("a");
  link.href = path;
  link.download = "";
  link.click();
}
