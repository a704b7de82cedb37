import { hostname } from "node:os";
import { Identities } from "../aws/identity.ts";
import { awsUserAgent } from "../aws/user-agent.ts";
import { Operator } from "../controllers/operator.ts";
import { KubeClient } from "../kube/client/client.ts";
import { loadKubeConfig } from "../kube/client/config.ts";
import { PooledConnection } from "../kube/client/pooled-connection.ts";
import { Metrics } from "../metrics/metrics.ts";
import { AuditWriter } from "../runtime/audit-writer.ts";
import { type Clock, endsWithin, systemClock } from "../runtime/clock.ts";
import { defectOf } from "../runtime/defect.ts";
import { IdleCollection } from "../runtime/idle-collection.ts";
import type { Log } from "../runtime/log.ts";
import { Proxies } from "../runtime/proxies.ts";
import { auditSink } from "./audit.ts";
import { electionNamespace, makeElection, observeLease, ownNamespace } from "./election.ts";
import type { ControllerSettings } from "./flags.ts";
import { makeLog } from "./log.ts";
import { processMeter } from "./meter.ts";
import { serveAll } from "./serving.ts";
import { endAtOnce, stopSignals } from "./stop-signals.ts";
import { endTracing, startTracing } from "./tracing.ts";
import { version } from "./version.ts";

/** Milliseconds for the remaining cleanup: closing connections, and log lines in flight. */
const closeWithinMs = 100;
/** Milliseconds after which a stop ends the process regardless; the caller waits five seconds. */
const stopWithinMs = 4_500;
/** Milliseconds of the stop reserved for the last lines of the audit, and at the same time for the last spans. */
const auditWithinMs = 750;

/**
 * Builds the operator and runs it until SIGTERM or SIGINT.
 *
 * @returns the exit code
 */
export async function runController(settings: ControllerSettings): Promise<number> {
  const log = makeLog(settings.logLevel, settings.logFormat);
  const metrics = new Metrics({ withProcess: true });
  metrics.buildInfo.set({ version }, 1);
  const userAgent = `keyferry/${version}`;
  const clock = systemClock;
  const stop = new AbortController();
  const end = (signal: NodeJS.Signals) => {
    // A second signal must not interrupt the stop.
    if (stop.signal.aborted) return;
    log.info({ signal }, "stopping");
    stop.abort();
    // Exit code 0: the next process repeats all unfinished work.
    setTimeout(() => process.exit(0), stopWithinMs).unref();
  };
  for (const signal of stopSignals) process.on(signal, end).off(signal, endAtOnce);
  // Node would print the error's message and a source line; a message can quote a value.
  process.on("uncaughtException", (error) => {
    log.error(defectOf(error), "the operator itself failed outside of a reconcile, exiting");
    process.exit(1);
  });
  try {
    const proxies = new Proxies(process.env);
    const env = settings.kubeconfig === undefined ? process.env : { ...process.env, KUBECONFIG: settings.kubeconfig };
    const connection = new PooledConnection({ load: () => loadKubeConfig({ env }), clock, log, proxies });
    for (const { variable, label } of proxies.all) log.info({ variable, proxy: label }, "using a proxy");
    const requests = { connection, metrics, clock, log, userAgent };
    const client = new KubeClient(requests);
    const own = ownNamespace(process.env);
    const leaseNamespace = electionNamespace(settings, own);
    const election =
      leaseNamespace === undefined
        ? undefined
        : makeElection(settings, leaseNamespace, { client, clock, random: Math.random, log, env: process.env });
    const { allowInsecureEndpoints } = settings;
    const clientsOfTerm = (mayWrite: () => boolean) => ({
      client: new KubeClient({ ...requests, mayWrite }),
      identities: new Identities({
        ...{ clock, metrics, log, allowInsecureEndpoints, proxies },
        userAgent: awsUserAgent(version, settings.clusterName),
        clusterName: settings.clusterName,
      }),
    });
    const audit = settings.auditLog === undefined ? undefined : auditWriter(settings.auditLog, clock, log, metrics);
    const tracing = await startTracing(settings, log);
    const operator = new Operator({
      client,
      clientsOfTerm,
      election,
      leader: observeLease(settings, own, { client, clock, log }),
      metrics,
      clock,
      random: Math.random,
      log,
      ...(audit ? { audit: audit.audit } : {}),
      ...(tracing ? { tracer: tracing } : {}),
      settings: {
        namespaces: settings.namespaces,
        ...(settings.defaultConnection ? { defaultConnection: settings.defaultConnection } : {}),
        defaultConnectionRegion: settings.defaultConnectionRegion,
        readOnly: settings.readOnly,
        protectedNamespaces: new Set([...settings.protectedNamespaces, ...(own === undefined ? [] : [own])]),
        allowedTargetMetadata: settings.allowedTargetMetadata,
        missingGraceMs: settings.missingGrace,
        clusterName: settings.clusterName,
        perObjectMetrics: settings.perObjectMetrics,
        maxConcurrentRollouts: settings.maxConcurrentRollouts,
        rolloutKinds: settings.rolloutKinds,
        instance: hostname(),
      },
    });
    const endServing = await serveAll(settings, { metrics, operator, client, clock, log });
    log.info({ version, readOnly: settings.readOnly, namespaces: settings.namespaces }, "starting");
    const meter = processMeter();
    if (meter) new IdleCollection(clock, meter, () => operator.isWriting).start(stop.signal);
    // The operator's timers do not keep the process alive; this one does.
    const alive = setInterval(() => {}, 60_000);
    try {
      await operator.run(stop.signal);
    } finally {
      await Promise.all([audit?.close(auditWithinMs), endTracing(tracing, auditWithinMs)]);
      clearInterval(alive);
      endServing();
      await endsWithin(clock, connection.close(), closeWithinMs);
      // Sockets still connecting to a host that does not answer would keep the process alive for ten more seconds.
      setTimeout(() => process.exit(), closeWithinMs).unref();
    }
    return 0;
  } catch (error) {
    log.error({ error: error instanceof Error ? error.message : "unknown" }, "operator failed, exiting");
    return 1;
  }
}

function auditWriter(path: string, clock: Clock, log: Log, metrics: Metrics): AuditWriter {
  const count = (result: "written" | "lost", lines: number) => metrics.auditLines.inc({ result }, lines);
  return new AuditWriter({ sink: auditSink(path, clock), clock, log, count });
}
