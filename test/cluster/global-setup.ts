import { createServer, type Server } from "node:net";
import { join } from "node:path";
import type { TestProject } from "vitest/node";
import { type Cluster, startCluster } from "./cluster.ts";
import type { ClusterDetails } from "./handle.ts";

declare module "vitest" {
  interface ProvidedContext {
    /** The port of 127.0.0.1 where this run's cluster is to be had: shared.ts asks there. */
    clusterPort: number;
  }
}

/** What a test file is told. */
export type ClusterAnswer = { details: ClusterDetails } | { error: string };

const CRDS = join(import.meta.dirname, "../../crds");

let server: Server | undefined;
let cluster: Promise<Cluster> | undefined;

/**
 * Makes one cluster per run available to test files. It starts when the first of them asks, so a run that needs none
 * pays nothing. What is handed out are paths of files that only this user can read.
 */
export async function setup(project: TestProject): Promise<void> {
  server = createServer(async (socket) => {
    socket.on("error", () => {});
    cluster ??= startCluster({ audit: true, crds: CRDS });
    const answer: ClusterAnswer = await cluster.then(
      ({ details }) => ({ details }),
      (error: Error) => ({ error: error.message }),
    );
    socket.end(JSON.stringify(answer));
  });
  await new Promise<void>((resolve) => server!.listen(0, "127.0.0.1", resolve));
  project.provide("clusterPort", (server.address() as { port: number }).port);
}

/** Ends the cluster, if there is one. */
export async function teardown(): Promise<void> {
  server?.close();
  const running = await cluster?.catch(() => undefined);
  await running?.stop();
}
