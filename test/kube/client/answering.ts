import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { Agent } from "undici";
import { onTestFinished } from "vitest";
import { KubeClient } from "../../../src/kube/client/client.ts";
import type { Access, Connection } from "../../../src/kube/client/connection.ts";
import type { TransportOptions } from "../../../src/kube/client/transport.ts";
import { Metrics } from "../../../src/metrics/metrics.ts";
import { systemClock } from "../../../src/runtime/clock.ts";
import { silent } from "../../../src/runtime/log.ts";

/** Answers the n-th request. */
export type Handler = (request: IncomingMessage, response: ServerResponse, count: number) => unknown;

/** A client with its own server, which answers with `handler`. */
export async function clientOf(handler: Handler, options: Partial<TransportOptions> = {}) {
  let count = 0;
  const server = createServer((request, response) => void handler(request, response, ++count));
  await once(server.listen(0, "127.0.0.1"), "listening");
  const pools = { requests: new Agent(), watches: new Agent() };
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const access = (token: string): Access => ({
    origin,
    prefix: "",
    headers: { authorization: `Bearer ${token}` },
    ...pools,
  });
  let current = access("old");
  const connection: Connection = {
    access: () => current,
    renew: async () => {
      current = access("new");
    },
    close: async () => {},
  };
  onTestFinished(async () => {
    await Promise.all([pools.requests.destroy(), pools.watches.destroy()]);
    server.closeAllConnections();
    server.close();
  });
  const metrics = new Metrics();
  const client = new KubeClient({
    connection,
    metrics,
    clock: systemClock,
    log: silent,
    userAgent: "keyferry/test",
    ...options,
  });
  const counted = async () =>
    Object.fromEntries(
      (await metrics.kubernetesRequests.get()).values.map(({ labels, value }) => [
        `${labels.verb} ${labels.code}`,
        value,
      ]),
    );
  return { client, counted, requests: () => count };
}

/** Answers with an object as JSON, or with plain text. */
export function answer(
  response: ServerResponse,
  code: number,
  body: unknown,
  headers: Record<string, string> = {},
): void {
  response.writeHead(code, { "content-type": "application/json", ...headers });
  response.end(typeof body === "string" ? body : JSON.stringify(body));
}

/** A minimal Secret. */
export const secret = { apiVersion: "v1", kind: "Secret", metadata: { name: "checkout", namespace: "shop" } };
