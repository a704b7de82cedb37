import { Agent } from "undici";
import { KubeClient } from "../../src/kube/client/client.ts";
import { Metrics } from "../../src/metrics/metrics.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { silent } from "../../src/runtime/log.ts";

/**
 * A client of the API server at `url`, on the real clock.
 *
 * @param access the certificates of a TLS server (PEM), and a function that returns the current bearer token
 */
export function clientOf(url: string, access: { ca?: string; token?: () => string } = {}) {
  const { ca, token } = access;
  const agent = new Agent({ allowH2: false, ...(ca && { connect: { ca } }) });
  const close = () => agent.destroy();
  const current = () => {
    const headers: Record<string, string> = token ? { authorization: `Bearer ${token()}` } : {};
    return { origin: url, prefix: "", requests: agent, watches: agent, headers };
  };
  const client = new KubeClient({
    connection: { access: current, renew: async () => {}, close },
    metrics: new Metrics(),
    clock: systemClock,
    log: silent,
    userAgent: "keyferry-test",
  });
  return { client, close };
}
