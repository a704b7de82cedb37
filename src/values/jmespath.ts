import type { Json } from "./json.ts";
import { invalid } from "./refusal.ts";
/** Placeholder */
export function evaluate(expression: string, document: Json): Json {
  void document;
  throw invalid(`jmesPath ${expression} cannot be evaluated`);
}
