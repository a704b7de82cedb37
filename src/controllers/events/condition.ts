import type { AnyConnection } from "../../api/any-connection.ts";
import type { Health } from "../../aws/events/queue-access.ts";
import type { Asked } from "../conditions.ts";
import type { Member } from "./queue.ts";

/** Reports whether the connection's queue is received from. It does not affect Ready, because polls continue. */
export const eventsReady = "EventsReady";

/** The queue condition of a connection; undefined while the state is unknown, or if this process does not receive. */
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
 * The queue condition without a new result.
 *
 * @param isReady whether the connection is ready: otherwise its queue is not received from
 * @returns the previous condition, if it is of this generation
 */
export function conditionWithout(isReady: boolean, { metadata, status }: AnyConnection): Asked | undefined {
  if (!isReady) return failed("ConnectionNotReady", "the connection is not ready, so its queue is not received from");
  const before = status?.conditions?.find(({ type }) => type === eventsReady);
  return before?.observedGeneration === metadata.generation ? before : undefined;
}

function failed(reason: string, message: string): Asked {
  return { type: eventsReady, status: "False", reason, message: `${message}; parameters are polled meanwhile` };
}
