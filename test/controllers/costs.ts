import { AuditReader } from "../cluster/audit.ts";
import type { ClusterHandle } from "../cluster/handle.ts";
import type { World } from "./world.ts";

/** A world's requests to AWS and to the API server, without those for its connection, whose credentials are read. */
export interface Costs {
  decryptions: number;
  /** Calls to AWS without decryption, except DescribeParameters, which is counted separately. */
  looks: number;
  secretReads: number;
  secretWrites: number;
  statusWrites: number;
  events: number;
}

export const nothing: Costs = { decryptions: 0, looks: 0, secretReads: 0, secretWrites: 0, statusWrites: 0, events: 0 };

/** Counts a world's requests from now on. @returns a function that returns the counts since its last call */
export async function costsOf(cluster: ClusterHandle, world: World): Promise<() => Promise<Costs>> {
  const audit = await AuditReader.from(cluster.auditLogPath);
  world.aws.resetCalls();
  return async () => {
    await world.engine.recorder.flush();
    const calls = world.aws
      .log()
      .filter(({ service, operation }) => service !== "sts" && operation !== "DescribeParameters");
    world.aws.resetCalls();
    const requests = (await audit.take()).filter(({ userAgent }) => userAgent.includes(world.namespace));
    const count = (resource: string, isRead: boolean) =>
      requests.filter(
        (request) =>
          request.resource === resource &&
          request.name !== "aws-credentials" &&
          (request.verb === "get") === isRead &&
          !["list", "watch"].includes(request.verb),
      ).length;
    return {
      decryptions: calls.filter(({ decrypt }) => decrypt).length,
      looks: calls.filter(({ decrypt }) => !decrypt).length,
      secretReads: count("secrets", true),
      secretWrites: count("secrets", false),
      statusWrites: count("syncedsecrets/status", false),
      events: count("events", false),
    };
  };
}
