import { invalid } from "./refusal.ts";

/**
 * Reads a parameter of type StringList: comma-separated items, each `name=value`. White space around an item and its
 * name is trimmed. A value may contain `=` but no comma, because Parameter Store has no escape for it.
 * An empty text is an empty list.
 *
 * @throws Refusal if an item has no name, or a name is duplicate
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
