import { expect, test } from "vitest";
import type { Manifest, Verdict } from "./dry-run.ts";

/** Makes a test of each manifest that has to be taken. */
export function takes(dryRun: (manifest: Manifest) => Promise<Verdict>, table: Record<string, Manifest>): void {
  for (const [sentence, manifest] of Object.entries(table)) {
    test(`takes ${sentence}`, async () => {
      expect(await dryRun(manifest)).toEqual({ accepted: true });
    });
  }
}

/** Makes a test of each manifest that has to be refused, in a message with all of these parts. */
export function refuses(
  dryRun: (manifest: Manifest) => Promise<Verdict>,
  table: Record<string, [manifest: Manifest, ...says: string[]]>,
): void {
  for (const [sentence, [manifest, ...says]] of Object.entries(table)) {
    test(`refuses ${sentence}`, async () => {
      const verdict = await dryRun(manifest);
      const message = verdict.accepted ? "accepted" : verdict.message;
      for (const part of says) expect(message).toContain(part);
    });
  }
}
