import { hostname } from "node:os";
import type { Operator } from "../controllers/operator.ts";
import type { KubeClient } from "../kube/client/client.ts";
import { TokenAccess } from "../kube/token-access.ts";
import { guarded } from "../metrics/guard.ts";
import { type Answer, type Handler, remembered, type Serving, serve } from "../metrics/http.ts";
import type { Metrics } from "../metrics/metrics.ts";
import {
  type Certificates,
  certificatesOf,
  followCertificates,
  selfSignedCertificates,
} from "../runtime/certificate.ts";
import type { Clock } from "../runtime/clock.ts";
import type { Log } from "../runtime/log.ts";
import { paced } from "../runtime/paced.ts";
import type { Address, ControllerSettings } from "./flags.ts";

/** Milliseconds that a rendered metrics page is reused: twenty scrapers cost no more than one. */
const pageForMs = 1_000;
/** Scrapes answered at once, and each second after that. */
const scrapes = { burst: 20, perSecond: 10 };

/** What the servers show, and depend on. */
export interface Served {
  metrics: Metrics;
  operator: Pick<Operator, "unhealthy" | "unready" | "isStandby" | "ownedShards">;
  /** For TokenReviews and SubjectAccessReviews. */
  client: KubeClient;
  clock: Clock;
  log: Log;
}

type ServingSettings = Pick<
  ControllerSettings,
  "metricsBindAddress" | "metricsSecure" | "metricsCertPath" | "healthProbeBindAddress"
>;

/**
 * Serves the metrics and the probes.
 *
 * @returns a function that closes the servers and their connections
 * @throws Error if a port is in use, or if the certificate cannot be used
 */
export async function serveAll(settings: ServingSettings, served: Served): Promise<() => void> {
  const { metricsBindAddress, healthProbeBindAddress } = settings;
  const { operator, log } = served;
  const ended = new AbortController();
  const all: Serving[] = [];
  if (metricsBindAddress) {
    const serving = await serveMetrics(metricsBindAddress, settings, served, ended.signal);
    all.push(serving);
    log.info({ port: serving.port, secure: settings.metricsSecure }, "serving metrics");
  }
  if (healthProbeBindAddress) {
    const paths = new Map([
      ["/healthz", () => probeAnswer(operator.unhealthy, "ok")],
      ["/readyz", () => probeAnswer(operator.unready, readyText(operator))],
    ]);
    const serving = await serve(healthProbeBindAddress, paths);
    all.push(serving);
    log.info({ port: serving.port }, "serving probes");
  }
  return () => {
    ended.abort();
    for (const { server } of all) server.close().closeAllConnections();
  };
}

async function serveMetrics(
  address: Address,
  { metricsSecure, metricsCertPath }: ServingSettings,
  { metrics, client, clock, log }: Served,
  ended: AbortSignal,
): Promise<Serving> {
  const { contentType } = metrics.registry;
  const page = remembered(clock, pageForMs, () => metrics.page());
  // A client that scrapes without a pause must not slow down others.
  const answer = paced(clock, scrapes, async () => ({ status: 200, contentType, body: await page() }));
  if (!metricsSecure) return serve(address, new Map([["/metrics", answer]]));
  const access = new TokenAccess({ client, clock, log, path: "/metrics" });
  const handler: Handler = guarded((bearer) => access.check(bearer), answer);
  const certificates: Certificates =
    metricsCertPath === undefined
      ? selfSignedCertificates([hostname(), "localhost"], clock)
      : await certificatesOf(metricsCertPath, log);
  const serving = await serve(address, new Map([["/metrics", handler]]), certificates.first);
  void followCertificates(certificates, (pair) => serving.replaceCertificate(pair), clock, ended);
  return serving;
}

function readyText({ isStandby, ownedShards }: Served["operator"]): string {
  if (isStandby) return "ok, standby";
  return ownedShards ? `ok, shards ${ownedShards.join(" ")}` : "ok";
}

/** @param trouble undefined if the probe succeeds */
function probeAnswer(trouble: string | undefined, text: string): Answer {
  return trouble === undefined ? { status: 200, body: `${text}\n` } : { status: 503, body: `${trouble}\n` };
}
