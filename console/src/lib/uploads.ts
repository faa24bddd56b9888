import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { api, segment, type Upload, type UploadOverview } from "./api";

const PAGE = 50;
const LIVE_MS = 2_000;
const QUIET_MS = 30_000;

interface Listed {
  uploads: UploadOverview[];
  next_cursor?: string;
}

function isLive(upload: UploadOverview): boolean {
  return upload.state === "checking";
}

export function useUploads(enabled = true) {
  return useInfiniteQuery({
    queryKey: ["uploads"],
    queryFn: ({ pageParam, signal }) =>
      api.get<Listed>(`/api/uploads?limit=${PAGE}${pageParam ? `&cursor=${segment(pageParam)}` : ""}`, signal),
    initialPageParam: "",
    getNextPageParam: (page) => page.next_cursor,
    enabled,
    refetchInterval: (query) => {
      const pages = query.state.data?.pages ?? [];
      return pages.some((page) => page.uploads.some(isLive)) ? LIVE_MS * pages.length : QUIET_MS;
    },
  });
}

/** One upload, asked for again until it is accepted or rejected; no more where it is not shared with the person, or is gone. */
export function useUpload(id: string | null | undefined) {
  return useQuery({
    queryKey: ["upload", id],
    queryFn: ({ signal }) => api.read<Upload>(`/api/uploads/${segment(id ?? "")}`, signal),
    enabled: Boolean(id),
    refetchInterval: (query) => {
      const state = query.state.data?.body.state;
      return query.state.error || state === "accepted" || state === "rejected" ? false : LIVE_MS;
    },
  });
}
