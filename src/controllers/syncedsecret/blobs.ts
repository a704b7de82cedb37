import { openBlob } from "../../ciphertexts/kms-blob.ts";
import { Failure } from "../../runtime/failure.ts";
import type { Sealed } from "../../runtime/sealed.ts";
import type { Gathered } from "./gathered.ts";

/** Opens every blob of a spec. @returns the plaintexts by key, and every problem, in the order of the messages */
export async function openBlobs(gathered: Gathered): Promise<{ blobs: Map<string, Sealed>; problems: Failure[] }> {
  const { granted, plan } = gathered;
  const blobs = new Map<string, Sealed>();
  const problems: Failure[] = [];
  await Promise.all(
    plan.entries.map(async (entry) => {
      if (entry.kind !== "blob") return;
      try {
        const { plaintext } = await openBlob(granted.identity, entry.blob, {
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
