import {
  columnFilteringFeature,
  createFilteredRowModel,
  createPaginatedRowModel,
  createSortedRowModel,
  filterFns,
  globalFilteringFeature,
  rowPaginationFeature,
  rowSortingFeature,
  sortFns,
  tableFeatures,
  useTable,
} from "@tanstack/react-table";
import { type ReactNode, useMemo } from "react";
import { Button, Field } from ".";

const features = tableFeatures({
  columnFilteringFeature,
  globalFilteringFeature,
  rowPaginationFeature,
  rowSortingFeature,
  sortedRowModel: createSortedRowModel(),
  filteredRowModel: createFilteredRowModel(),
  paginatedRowModel: createPaginatedRowModel(),
  sortFns,
  filterFns,
});

export interface TableColumn<T> {
  id: string;
  header: string;
  /** What is sorted and searched by. */
  value: (row: T) => string | number | null | undefined;
  /** What is shown; the value where it is left out. */
  cell?: (row: T) => ReactNode;
  number?: boolean;
  sortable?: boolean;
}

/** A table with sorting, and with search and pages where it is long. */
export function DataTable<T>({
  caption,
  columns,
  rows,
  rowKey,
  search = false,
  pageSize = 25,
  sort,
  tools,
}: {
  caption: string;
  columns: readonly TableColumn<T>[];
  rows: readonly T[];
  rowKey: (row: T, index: number) => string;
  search?: boolean;
  pageSize?: number;
  sort?: { id: string; desc: boolean };
  /** Other filters of the page, beside the search. */
  tools?: ReactNode;
}) {
  const definitions = useMemo(
    () =>
      columns.map((column) => ({
        id: column.id,
        accessorFn: (row: { of: T }) => column.value(row.of) ?? undefined,
        sortUndefined: "last" as const,
        enableSorting: column.sortable ?? true,
      })),
    [columns],
  );
  // The library takes objects alone.
  const data = useMemo(() => rows.map((of) => ({ of })), [rows]);
  const table = useTable({
    features,
    columns: definitions,
    data,
    initialState: { pagination: { pageIndex: 0, pageSize }, sorting: sort ? [sort] : [] },
    globalFilterFn: "includesString",
    autoResetPageIndex: false,
  });
  const found = table.getFilteredRowModel().rows.length;
  const pages = Math.max(1, table.getPageCount());
  const page = Math.min(table.state.pagination.pageIndex, pages - 1);
  return (
    <div className="page">
      {search && (
        <div className="row table-tools">
          {tools}
          <Field
            label={`Search in ${caption}`}
            value={String(table.state.globalFilter ?? "")}
            onChange={(text) => {
              table.setGlobalFilter(text);
              table.setPageIndex(0);
            }}
          />
          <span className="muted" role="status">
            {found === rows.length ? rows.length : `${found} of ${rows.length}`} {rows.length === 1 ? "row" : "rows"}
          </span>
        </div>
      )}
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls has to be reached by the keyboard (WCAG 2.1.1) */}
      <section className="table-box" tabIndex={0} aria-label={caption}>
        <table className="table">
          <caption className="visually-hidden">{caption}</caption>
          <thead>
            <tr>
              {columns.map((column) => {
                const handle = table.getColumn(column.id);
                const sorted = handle?.getIsSorted() ?? false;
                return (
                  <th
                    key={column.id}
                    scope="col"
                    className={column.number ? "number" : undefined}
                    aria-sort={sorted ? (sorted === "asc" ? "ascending" : "descending") : undefined}
                  >
                    {handle?.getCanSort() ? (
                      <button type="button" className="sort" onClick={handle.getToggleSortingHandler()}>
                        {column.header}
                        <span aria-hidden="true">{sorted ? (sorted === "asc" ? " ↑" : " ↓") : ""}</span>
                      </button>
                    ) : (
                      column.header
                    )}
                  </th>
                );
              })}
            </tr>
          </thead>
          <tbody>
            {table.getRowModel().rows.map((row) => (
              <tr key={rowKey(row.original.of, row.index)}>
                {columns.map((column) => (
                  <td key={column.id} className={column.number ? "number" : undefined}>
                    {column.cell ? column.cell(row.original.of) : (column.value(row.original.of) ?? "")}
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </section>
      {pages > 1 && (
        <nav className="row" aria-label={`Pages of ${caption}`}>
          <Button onPress={() => table.setPageIndex(page - 1)} isDisabled={page === 0}>
            Previous
          </Button>
          <span>
            Page {page + 1} of {pages}
          </span>
          <Button onPress={() => table.setPageIndex(page + 1)} isDisabled={page >= pages - 1}>
            Next
          </Button>
        </nav>
      )}
    </div>
  );
}
