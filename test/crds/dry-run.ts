import { readFileSync } from "node:fs";
import { Agent, request } from "node:https";
import { json } from "node:stream/consumers";
import type { ClusterHandle } from "../cluster/handle.ts";

/** What the API server said of an object. */
export type Verdict = { accepted: true } | { accepted: false; message: string };

/** A manifest, as JSON. */
export interface Manifest {
  apiVersion: string;
  kind: string;
  metadata: { name: string; namespace?: string };
  spec?: unknown;
}

const plurals: Record<string, string> = {
  SyncedSecret: "syncedsecrets",
  AWSConnection: "awsconnections",
  ClusterAWSConnection: "clusterawsconnections",
};

/**
 * Asks the API server whether it would take objects, without storing any: unknown fields are refused, as kubectl asks
 * for.
 */
export function dryRunner(cluster: ClusterHandle): (manifest: Manifest) => Promise<Verdict> {
  const agent = new Agent({ keepAlive: true, maxSockets: 4, ca: readFileSync(cluster.caFile) });
  return async (manifest) => {
    const { apiVersion, kind, metadata } = manifest;
    const scope = kind === "ClusterAWSConnection" ? "" : `/namespaces/${metadata.namespace ?? "default"}`;
    const url = `${cluster.url}/apis/${apiVersion}${scope}/${plurals[kind]}?dryRun=All&fieldValidation=Strict`;
    const headers = { authorization: `Bearer ${cluster.token}`, "content-type": "application/json" };
    const answer = await new Promise<{ status: number; body: { message: string } }>((resolve, reject) => {
      const call = request(url, { method: "POST", agent, headers }, (response) => {
        json(response).then(
          (body) => resolve({ status: response.statusCode!, body: body as { message: string } }),
          reject,
        );
      });
      call.once("error", reject);
      call.end(JSON.stringify(manifest));
    });
    if (answer.status === 201) return { accepted: true };
    if (answer.status === 422 || answer.status === 400) return { accepted: false, message: answer.body.message };
    throw new Error(`the API server answered ${answer.status}: ${answer.body.message}`);
  };
}
