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

interface Answer {
  status: number;
  body: { message: string };
}

/** Sends a request as the administrator; `path` from the API server's root. */
type Send = (method: string, path: string, headers: Record<string, string>, body: unknown) => Promise<Answer>;

function sender(cluster: ClusterHandle): Send {
  const agent = new Agent({ keepAlive: true, maxSockets: 4, ca: readFileSync(cluster.caFile) });
  return (method, path, headers, body) =>
    new Promise((resolve, reject) => {
      const all = { authorization: `Bearer ${cluster.token}`, "content-type": "application/json", ...headers };
      const call = request(cluster.url + path, { method, agent, headers: all }, (response) => {
        json(response).then((body) => resolve({ status: response.statusCode!, body: body as Answer["body"] }), reject);
      });
      call.once("error", reject);
      call.end(JSON.stringify(body));
    });
}

function pathOf({ apiVersion, kind, metadata }: Manifest): string {
  const scope = kind === "ClusterAWSConnection" ? "" : `/namespaces/${metadata.namespace ?? "default"}`;
  return `/apis/${apiVersion}${scope}/${plurals[kind]}`;
}

/**
 * Asks the API server whether it would take objects, without storing any: unknown fields are refused, as kubectl asks
 * for.
 */
export function dryRunner(cluster: ClusterHandle): (manifest: Manifest) => Promise<Verdict> {
  const send = sender(cluster);
  return async (manifest) => {
    const query = "?dryRun=All&fieldValidation=Strict";
    const { status, body } = await send("POST", pathOf(manifest) + query, {}, manifest);
    if (status === 201) return { accepted: true };
    if (status === 422 || status === 400) return { accepted: false, message: body.message };
    throw new Error(`the API server answered ${status}: ${body.message}`);
  };
}

/**
 * The row that kubectl would print of an object that exists, if it had this status. Nothing is stored, so an operator
 * that works in the same cluster cannot come between.
 *
 * @returns cells by column
 */
export async function rowWith(
  cluster: ClusterHandle,
  manifest: Manifest,
  status: object,
): Promise<Map<string, unknown>> {
  const headers = {
    accept: "application/json;as=Table;g=meta.k8s.io;v=v1",
    "content-type": "application/merge-patch+json",
  };
  const path = `${pathOf(manifest)}/${manifest.metadata.name}/status?dryRun=All&fieldValidation=Strict`;
  const answer = await sender(cluster)("PATCH", path, headers, { status });
  if (answer.status !== 200) throw new Error(`the API server answered ${answer.status}: ${answer.body.message}`);
  const table = answer.body as unknown as { columnDefinitions: { name: string }[]; rows: { cells: unknown[] }[] };
  return new Map(table.columnDefinitions.map(({ name }, index) => [name, table.rows[0]!.cells[index]]));
}
