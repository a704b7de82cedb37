import {
  type Entry,
  type Missing,
  newEntry,
  type ParameterMetadata,
  type ParameterState,
  type Stage,
} from "../../../../src/parameters/cache/cache-entry.ts";
import { DeletionConfirmer } from "../../../../src/parameters/cache/deletion-confirmer.ts";
import { Entries } from "../../../../src/parameters/cache/entries.ts";
import type { VersionStamp } from "../../../../src/parameters/read/version-stamp.ts";
import { Failure } from "../../../../src/runtime/failure.ts";
import { FakeClock } from "../../../support/clock.ts";
import { FakeAws } from "../../../support/fake-aws.ts";
import { parameterOf } from "../../../support/observer.ts";

/** Milliseconds since the epoch at every decision of these tests. */
export const wall = Date.UTC(2026, 0, 10);
/** Monotonic milliseconds at every decision of these tests. */
export const elapsed = 10_000_000;

export const minute = 60_000;
export const day = 86_400_000;

/** The identity of the connection, in region eu-west-1 of account 123456789012. */
export const identity = new FakeAws(() => wall).identity();
/** The identity of the failover region eu-central-1. */
export const elsewhere = new FakeAws(() => wall).identity("elsewhere", "eu-central-1");

/** The version stamp of a parameter's version: version n is n minutes younger than yesterday. */
export function stampOf(version: number): VersionStamp {
  return { version, modified: wall - day + version * minute };
}

/** AWS serves a version. */
export function served(version: number, metadata?: ParameterMetadata): ParameterState {
  return { stamp: stampOf(version), since: elapsed - 60 * minute, ...(metadata ? { metadata } : {}) };
}

/** AWS served an old version just now, after a newer one. */
export function stale(version: number, older: number): ParameterState {
  return { ...served(version), staleAnswer: { stamp: stampOf(older), since: elapsed - 1_000, times: 2 } };
}

const absent: Missing = { reason: "ParameterNotFound", since: elapsed - minute, at: wall - minute, stage: "absent" };
const confirmed = await confirmedMissing();

/** AWS reports a parameter missing; `was` is the version that it served to this process before. */
export function missing(stage: Stage, was?: number, reason: Missing["reason"] = "ParameterNotFound"): ParameterState {
  const facts = { ...absent, reason };
  const found: Missing = stage === "gone" ? { ...confirmed, reason } : { ...facts, stage };
  return { missing: found, ...(was === undefined ? {} : { stamp: stampOf(was) }) };
}

/** A version whose Expiration has passed; AWS still serves it, or reports it missing. */
export function expired(version: number, stage?: Stage): ParameterState {
  const state = stage === undefined ? served(version) : missing(stage, version);
  return { ...state, expired: { at: wall - 10 * minute, stamp: stampOf(version) } };
}

/** A missing parameter of which a real confirmer has confirmed the deletion: nothing else makes the proof. */
async function confirmedMissing(): Promise<Missing> {
  const entry: Entry = newEntry(parameterOf(identity, "/gone"), "gone");
  const options = { entries: new Entries(), clock: new FakeClock(), missingGraceMs: 300_000 };
  const state: ParameterState = { missing: { ...absent, stage: "suspect" } };
  await new DeletionConfirmer({ ...options, isWanted: () => true, look: async () => {} }).settle({
    entry,
    name: "/gone",
    state,
  });
  return state.missing!;
}

/** AWS does not answer. */
export const silent = new Failure("Unreachable", "retry", "AWS does not answer, retrying");
/** AWS denies a request. */
export const denied = new Failure("AccessDenied", "wait", "AWS denies ssm:GetParameter");
