import type { Call } from "../call.ts";
import type { Json } from "../http.ts";
/** stub */
export class Ssm {
  async handle(_call: Call): Promise<Json | undefined> {
    return undefined;
  }
}
/** The names or the path that a call of SSM asks for. */
export function namesOf(input: Json): string[] {
  if (Array.isArray(input.Names)) return input.Names.map(String);
  for (const field of ["Name", "Path"]) if (typeof input[field] === "string") return [input[field]];
  return [];
}
