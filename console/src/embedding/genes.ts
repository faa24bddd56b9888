const MOST = 50;

/** Genes whose names hold the text: the one that is it, those that begin with it, then the others. */
export function found(genes: readonly string[], text: string, most = MOST): string[] {
  const wanted = text.trim().toLowerCase();
  if (wanted === "") return genes.slice(0, most);
  const ranks: [string[], string[], string[]] = [[], [], []];
  for (const gene of genes) {
    const name = gene.toLowerCase();
    const at = name.indexOf(wanted);
    if (at >= 0) ranks[name === wanted ? 0 : at === 0 ? 1 : 2].push(gene);
  }
  return ranks.flat().slice(0, most);
}
