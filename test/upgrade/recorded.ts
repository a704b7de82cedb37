import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Emulator } from "../emulator/emulator.ts";
import type { previous } from "./versions.ts";

/** What a version has left in the cluster, and what it was made from. */
export interface RecordedState {
  /** The version's commit. */
  commit: string;
  /** Its Secrets, SyncedSecrets and Leases, whole but for their resourceVersion. */
  objects: RecordedObject[];
  /** Every version of every parameter, in the order in which they were put. */
  parameters: RecordedParameter[];
}

/** An object of the API server. */
export interface RecordedObject {
  apiVersion: string;
  kind: string;
  metadata: { namespace: string; name: string; uid: string; resourceVersion?: string };
}

/** One version of a SecureString. */
export interface RecordedParameter {
  name: string;
  value: string;
  /** Milliseconds since the epoch. */
  modified: number;
  labels: string[];
}

/** The folder of the recorded states. */
export const recordedFolder = join(import.meta.dirname, "previous");

/** Reads what test/upgrade/record.ts has written. */
export function readRecorded(name: keyof typeof previous): RecordedState {
  return JSON.parse(readFileSync(join(recordedFolder, `${name}.json`), "utf8")) as RecordedState;
}

/** Puts the recorded parameters. @param setTime sets the emulator's clock, for the versions' modification times */
export async function putRecorded(
  aws: Emulator,
  parameters: readonly RecordedParameter[],
  setTime: (ms: number | undefined) => void,
): Promise<void> {
  for (const { name, value, modified, labels } of parameters) {
    setTime(modified);
    await aws.putParameter({ name, value, type: "SecureString" });
    if (labels.length > 0) await aws.labelParameterVersion(name, labels);
  }
  setTime(undefined);
}
