import { hostname } from "node:os";
import { endsWithin, systemClock } from "../runtime/clock.ts";
import type { Log } from "../runtime/log.ts";
import type { Tracing } from "./otlp-tracer.ts";
import { version } from "./version.ts";

/** The flags of traces. */
export interface TracingSettings {
  /** The base URL of an OTLP/HTTP receiver; undefined for no traces. */
  otlpEndpoint?: string;
  /** The share of the reconciles that are traced, from 0 to 1. */
  traceSampleRatio: number;
  clusterName: string;
}

/**
 * Starts traces, if they are on. OpenTelemetry's SDK is a file of its own, which is loaded here and nowhere else: it
 * costs no memory and no start time while traces are off.
 *
 * @returns undefined if traces are off
 */
export async function startTracing(settings: TracingSettings, log: Log): Promise<Tracing | undefined> {
  const { otlpEndpoint: endpoint, traceSampleRatio: sampleRatio, clusterName } = settings;
  if (endpoint === undefined) return undefined;
  const { startOtlp } = await import("./otlp-tracer.ts");
  const attributes = {
    "service.name": "keyferry",
    "service.version": version,
    "service.instance.id": hostname(),
    ...(clusterName === "" ? {} : { "k8s.cluster.name": clusterName }),
  };
  log.info({ endpoint, sampleRatio }, "sending traces");
  return startOtlp({ endpoint, sampleRatio, attributes, log });
}

/** Sends the spans that wait, for at most `ms` milliseconds. */
export async function endTracing(tracing: Tracing | undefined, ms: number): Promise<void> {
  if (tracing) await endsWithin(systemClock, tracing.close(), ms);
}
