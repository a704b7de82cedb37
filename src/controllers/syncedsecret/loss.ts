import type { SyncedSecret } from "../../api/types.ts";
import { Failure } from "../../runtime/failure.ts";
import type { Assessment } from "./assess.ts";
import { readyOf } from "./said.ts";

/** Whether a source is missing beyond suspicion, or is still missing after a process before this one had said so. */
export function isLost({ lost }: Assessment, resource: SyncedSecret): boolean {
  const saidGone = readyOf(resource)?.reason === "SourceGone";
  return saidGone ? lost.length > 0 : lost.some(({ missing }) => missing.stage !== "suspect");
}

/** What is said while a source that the Secret was made from is missing. */
export function sourceGone(assessment: Assessment): Failure {
  const held = assessment.lost.some(({ missing }) => missing.stage === "held");
  const names = [...new Set(assessment.lost.map(({ entry, name }) => `${entry.label}: ${name}`))].sort();
  const message = held
    ? `so many parameters of the connection went missing at once that none is taken for deleted (${names.join(", ")}): see whether the connection still reads the right account and region`
    : `gone from Parameter Store (${names.join(", ")}): what the Secret had of them stays as it is; put them back, or remove the entries`;
  return new Failure("SourceGone", "wait", message);
}
