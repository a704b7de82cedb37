import type { KmsPort } from "../../aws/kms.ts";
import { openBlob } from "../../ciphertexts/kms-blob.ts";
import type { Lanes } from "../../parameters/lanes.ts";
import { Failure } from "../../runtime/failure.ts";
import type { Sealed } from "../../runtime/sealed.ts";
import type { Gathered } from "./gathered.ts";

/**
 * Opens every blob of a spec, each call in its turn.
 *
 * @returns the plaintexts by key, and every problem, in the order of the messages
 */
export async function openBlobs(
  gathered: Gathered,
  lanes: Lanes,
): Promise<{ blobs: Map<string, Sealed>; problems: Failure[] }> {
  const { granted, plan, lane, target } = gathered;
  const { identity } = granted;
  const turn = { service: "kms", namespace: target.namespace } as const;
  const kms: KmsPort = {
    decrypt: async (request) => (await lanes.run(identity, lane, () => identity.kms.decrypt(request), turn))!,
  };
  const blobs = new Map<string, Sealed>();
  const problems: Failure[] = [];
  await Promise.all(
    plan.entries.map(async (entry) => {
      if (entry.kind !== "blob") return;
      try {
        const { plaintext } = await openBlob({ kms }, entry.blob, {
          entry: entry.label,
          ...(granted.keyIds ? { allowKeyIds: granted.keyIds } : {}),
        });
        blobs.set(entry.key, plaintext);
      } catch (error) {
        if (!(error instanceof Failure)) throw error;
        problems.push(error);
      }
    }),
  );
  return { blobs, problems: problems.sort((a, b) => (a.message < b.message ? -1 : 1)) };
}
