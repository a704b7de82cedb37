import type { IncomingMessage, ServerResponse } from "node:http";
import type { Emulator } from "./emulator.ts";
import { readBody, write } from "./http.ts";

/** What another process may ask for over HTTP. */
const methods = [
  "calls",
  "count",
  "log",
  "resetCalls",
  "deny",
  "allowAll",
  "quota",
  "fault",
  "clearFaults",
  "identity",
  "role",
  "sessions",
  "expireSessions",
  "createQueue",
  "eventsTo",
  "clearEvents",
  "flushEvents",
  "tick",
  "direct",
  "putParameter",
  "putParameters",
  "deleteParameter",
  "labelParameterVersion",
  "createKey",
  "encrypt",
] as const;

/**
 * Answers `POST /__door/METHOD`, the method of `Emulator` of that name: its arguments as a JSON array in the body (none:
 * no arguments), its result as JSON (`null` where it has none), and `{"error": message}` with 400 where it fails.
 */
export async function control(emulator: Emulator, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const name = methods.find((method) => request.url === `/__door/${method}`);
  try {
    if (!name) throw new Error(`There is no ${request.url}; there are: ${methods.join(", ")}`);
    const body = (await readBody(request)).toString();
    const args: unknown = body ? JSON.parse(body) : [];
    if (!Array.isArray(args)) throw new Error("The body has to be a JSON array of arguments");
    const result = await (emulator[name] as (...args: unknown[]) => unknown)(...args);
    answer(response, 200, result ?? null);
  } catch (error) {
    answer(response, 400, { error: (error as Error).message });
  }
}

function answer(response: ServerResponse, status: number, value: unknown): void {
  write(response, {
    status,
    headers: { "content-type": "application/json" },
    body: Buffer.from(JSON.stringify(value)),
  });
}
