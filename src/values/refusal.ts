import type { Reason } from "../api/reasons.ts";

/** Reasons that a Secret's data can be refused for, of those that conditions have. */
export type ProblemReason = Extract<Reason, "InvalidData" | "KeyConflict" | "EmptyResult" | "TooLarge">;

/** What is wrong with an entry, in the words that its user will read. Never holds a value or a parser's text. */
export interface Problem {
  reason: ProblemReason;
  message: string;
}

/**
 * Thrown inside values/ where data cannot be used, and caught by what is exported to other folders, which puts the
 * entry's label in front. Its message is a part of a sentence, without the entry.
 */
export class Refusal extends Error {
  readonly reason: ProblemReason;

  constructor(reason: ProblemReason, message: string) {
    super(message);
    this.name = "Refusal";
    this.reason = reason;
  }
}

/** The commonest refusal: the data is not of the form that the spec says it has. */
export function invalid(message: string): Refusal {
  return new Refusal("InvalidData", message);
}
