import type { Reason } from "../api/reasons.ts";

/** Condition reasons of a refusal. */
export type ProblemReason = Extract<Reason, "InvalidData" | "KeyConflict" | "EmptyResult" | "TooLarge">;

/** A problem of an entry, with the message to the user. Never contains a value or a parser's text. */
export interface Problem {
  reason: ProblemReason;
  message: string;
}

/**
 * Thrown inside values/ for unusable data. The exported functions catch it and prefix the entry's label. Its message is
 * a clause, without the entry.
 */
export class Refusal extends Error {
  readonly reason: ProblemReason;

  constructor(reason: ProblemReason, message: string) {
    super(message);
    this.name = "Refusal";
    this.reason = reason;
  }
}

/** The most common refusal: the data does not have the format that the spec declares. */
export function invalid(message: string): Refusal {
  return new Refusal("InvalidData", message);
}
