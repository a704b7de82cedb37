import type { Call } from "../call.ts";
import type { Json } from "../http.ts";
/** stub */
export class Kms {
  async handle(_call: Call): Promise<Json | undefined> {
    return undefined;
  }
}
