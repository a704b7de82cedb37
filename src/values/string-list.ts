import { invalid } from "./refusal.ts";

/**
 * Reads a parameter of type StringList: items between commas, each `name=value`. White space around an item and its
 * name is dropped; a value may have `=` in it but no comma, since Parameter Store knows no way to write one.
 * An empty text is an empty list.
 *
 * @throws Refusal where an item has no name, or a name comes twice
 */
export function parseStringList(text: string): Map<string, string> {
  const items = new Map<string, string>();
  if (text.trim() === "") return items;
  for (const [index, item] of text.split(",").entries()) {
    const at = item.indexOf("=");
    const name = item.slice(0, Math.max(at, 0)).trim();
    if (name === "") throw invalid(`item ${index + 1} of the list is not of the form name=value`);
    if (items.has(name)) throw invalid(`item ${index + 1} of the list has a name that came before`);
    items.set(name, item.slice(at + 1).trim());
  }
  return items;
}
