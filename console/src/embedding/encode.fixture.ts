/** What the console's server sends for /console/analyses/{id}/cells, for tests. */
export interface Given {
  x: ArrayLike<number>;
  y: ArrayLike<number>;
  categories: Record<string, { codes: ArrayLike<number>; categories: string[] }>;
  genes: string[];
}

export function encode({ x, y, categories, genes }: Given): ArrayBuffer {
  const parts: [Record<string, unknown>, ArrayBuffer][] = [
    [{ name: "umap_1", type: "float32" }, Float32Array.from(x).buffer],
    [{ name: "umap_2", type: "float32" }, Float32Array.from(y).buffer],
  ];
  for (const [name, column] of Object.entries(categories)) {
    const description = { name, type: "category", codes: "uint16", categories: column.categories };
    parts.push([description, Uint16Array.from(column.codes).buffer]);
  }
  let offset = 0;
  const columns = parts.map(([description, data]) => {
    const column = { ...description, offset };
    offset += Math.ceil(data.byteLength / 8) * 8;
    return column;
  });
  let header = JSON.stringify({ cells: x.length, columns, genes });
  while ((4 + new TextEncoder().encode(header).length) % 8) header += " ";
  const text = new TextEncoder().encode(header);
  const bytes = new Uint8Array(4 + text.length + offset);
  new DataView(bytes.buffer).setUint32(0, text.length, true);
  bytes.set(text, 4);
  columns.forEach((column, index) => {
    bytes.set(new Uint8Array(parts[index]?.[1] ?? new ArrayBuffer(0)), 4 + text.length + column.offset);
  });
  return bytes.buffer;
}
