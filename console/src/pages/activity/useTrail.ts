import { useInfiniteQuery, useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect, useMemo, useState } from "react";
import {
  type AuditPage,
  type AuditRecord,
  merged,
  queryOf,
  readAudit,
  readBackTo,
  type Search,
  type Span,
  timeOf,
} from "../../lib/audit";

/** Pages that are read without being asked for: what a chart of a busy day needs, and no more. */
const PAGES = 5;
const EVERY = 5_000;
/** Milliseconds after which a line is in the log at the latest; what is read again overlaps by as much. */
const LATE = 60_000;
/** Records that following keeps: a tab that is left open does not grow without an end. */
const MOST_FOLLOWED = 5_000;

export interface Trail {
  records: AuditRecord[];
  /** What was read of the time that was asked for. */
  read: Span;
  /** Whether older records of that time were not read. */
  more: boolean;
  readMore: () => void;
  isReading: boolean;
  error: unknown;
  /** How many came since it is followed. */
  followed: number;
}

/** The records of a search, the newest first, page by page; and those that come while it is followed. */
export function useTrail(search: Search, span: Span, follow: boolean): Trail {
  const key = queryOf(search, span);
  const queries = useQueryClient();
  const [allowed, setAllowed] = useState({ key, pages: PAGES });
  const pagesAllowed = allowed.key === key ? allowed.pages : PAGES;
  const trail = useInfiniteQuery({
    queryKey: ["audit", key],
    queryFn: ({ pageParam, signal }) => readAudit(search, span, pageParam, signal),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (last: AuditPage) => last.next_cursor,
    staleTime: Number.POSITIVE_INFINITY,
    refetchOnWindowFocus: false,
  });
  const { data, hasNextPage, isFetching, error, fetchNextPage } = trail;
  const pages = data?.pages;
  useEffect(() => {
    if (pages && hasNextPage && !isFetching && !error && pages.length < pagesAllowed) void fetchNextPage();
  }, [pages, hasNextPage, isFetching, error, pagesAllowed, fetchNextPage]);

  const followKey = ["audit-followed", key];
  const following = useQuery({
    queryKey: followKey,
    queryFn: async ({ signal }) => {
      const before = queries.getQueryData<AuditRecord[]>(followKey) ?? [];
      const newest = before[0] ? timeOf(before[0]) : span.to;
      const page = await readAudit(search, { from: newest - LATE, to: Date.now() }, undefined, signal);
      return merged(before, page.records).slice(0, MOST_FOLLOWED);
    },
    enabled: follow,
    refetchInterval: EVERY,
  });
  const followed = follow ? following.data : undefined;
  const reached = follow ? following.dataUpdatedAt : 0;
  const records = useMemo(
    () => merged(...(pages ?? []).map((page) => page.records), followed ?? []),
    [pages, followed],
  );
  const read = useMemo(
    () => ({ from: readBackTo(span, pages ?? []), to: Math.max(span.to, reached) }),
    [span, pages, reached],
  );
  return {
    records,
    read,
    more: hasNextPage,
    readMore: () => {
      setAllowed({ key, pages: (pages?.length ?? 0) + PAGES });
      void fetchNextPage();
    },
    isReading: isFetching || (hasNextPage && !error && (pages?.length ?? 0) < pagesAllowed),
    error: error ?? (follow ? following.error : null),
    followed: (followed ?? []).filter((record) => timeOf(record) > span.to).length,
  };
}
