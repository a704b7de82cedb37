import type { Health } from "../../aws/queue-access.ts";
import type { Asked } from "../conditions.ts";
import type { AnyConnection } from "../connection/resolve.ts";
import type { Member } from "./queue.ts";

/** The condition that says whether a connection's queue is received from. It is none of Ready's business: polls go on. */
export const eventsReady = "EventsReady";

/** What a connection says of its queue; undefined while nothing is known, or where it is not this process that receives. */
export function eventsCondition(
  { queueUrl, problem, isForeign }: Pick<Member, "queueUrl" | "problem" | "isForeign">,
  health: Health,
): Asked | undefined {
  if (problem !== undefined) return failed("InvalidData", `spec.events.queueUrl ${problem}`);
  if (health.state === "pending") return undefined;
  if (health.state === "failed") return failed(health.failure.reason, health.failure.message);
  const foreign = ", a queue of another account, whose tags cannot be read: no other cluster may receive from it";
  const message = `changes of parameters are received from ${queueUrl}${isForeign ? foreign : ""}`;
  return { type: eventsReady, status: "True", reason: "Receiving", message };
}

/**
 * What a connection says of its queue where there is nothing new to say.
 *
 * @param isReady whether the connection itself is: its queue is not received from where it is not
 * @returns what was said before, where it was of this spec
 */
export function conditionWithout(isReady: boolean, { metadata, status }: AnyConnection): Asked | undefined {
  if (!isReady) return failed("ConnectionNotReady", "the connection is not ready, so its queue is not received from");
  const before = status?.conditions?.find(({ type }) => type === eventsReady);
  return before?.observedGeneration === metadata.generation ? before : undefined;
}

function failed(reason: string, message: string): Asked {
  return { type: eventsReady, status: "False", reason, message: `${message}; parameters are polled meanwhile` };
}
