import { connect } from "node:net";
import { json } from "node:stream/consumers";
import { inject } from "vitest";
import type { ClusterAnswer } from "./global-setup.ts";
import { ClusterHandle } from "./handle.ts";

/**
 * The one cluster of this test run, with the CRDs of crds/ applied and an audit log; started when the first test file
 * asks. To be called at a test file's top level, where no time limit runs (the first build takes minutes):
 * `const cluster = await sharedCluster();`. Other files use it at the same time: make namespaces with
 * `cluster.freshNamespace("prefix")`, give cluster-wide objects names of your own, and count by namespace, user or
 * user agent. A test that stops the API server needs a cluster of its own (startCluster).
 */
export async function sharedCluster(): Promise<ClusterHandle> {
  const answer = (await json(connect(inject("clusterPort"), "127.0.0.1"))) as ClusterAnswer;
  if ("error" in answer) throw new Error(answer.error);
  return new ClusterHandle(answer.details);
}
