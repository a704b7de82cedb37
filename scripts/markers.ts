/** A page with generated parts. */
export interface Page {
  /** Its content. */
  page: string;
  /** Its path, for messages. */
  path: string;
  /** What the parts are generated from, as the markers say: `crds/`. */
  source: string;
}

/**
 * The page with new content between the markers of a part.
 *
 * @throws Error if the page lacks the markers
 */
export function between({ page, path, source }: Page, part: string, content: string): string {
  const [begin, end] = [`<!-- ${part}: generated from ${source} -->`, `<!-- end of ${part} -->`];
  const [from, to] = [page.indexOf(begin), page.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`${path} lacks the lines ${begin} and ${end}`);
  return `${page.slice(0, from + begin.length)}\n\n${content}\n\n${page.slice(to)}`;
}
