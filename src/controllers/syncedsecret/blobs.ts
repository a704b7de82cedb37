import type { KmsPort } from "../../aws/kms.ts";
import { openBlob } from "../../ciphertexts/kms-blob.ts";
import { openMessage } from "../../ciphertexts/message.ts";
import type { Lanes } from "../../parameters/lanes.ts";
import { Failure } from "../../runtime/failure.ts";
import type { Sealed } from "../../runtime/sealed.ts";
import type { Gathered } from "./gathered.ts";
import { blobRules, isFromParameters, messageRules } from "./plan.ts";

/**
 * Opens every blob and message of a spec, each call in its turn.
 *
 * @returns the plaintexts by the label of the entry, the ARNs of the KMS keys that made them, and every problem, in the order of the
 *   messages
 */
export async function openBlobs(
  gathered: Gathered,
  lanes: Lanes,
): Promise<{ blobs: Map<string, Sealed>; keyIds: ReadonlySet<string>; problems: Failure[] }> {
  const { granted, plan, lane, target, resource } = gathered;
  const { identity } = granted;
  const owner = { namespace: target.namespace, name: resource.metadata.name! };
  const turn = { service: "kms", namespace: target.namespace } as const;
  const kms: KmsPort = {
    decrypt: async (request) => (await lanes.run(identity, lane, () => identity.kms.decrypt(request), turn))!,
    describeKey: async (keyId) => (await lanes.run(identity, lane, () => identity.kms.describeKey(keyId), turn))!,
  };
  const blobs = new Map<string, Sealed>();
  const keyIds = new Set<string>();
  const problems: Failure[] = [];
  await Promise.all(
    plan.entries.map(async (entry) => {
      if (isFromParameters(entry)) return;
      const { label } = entry;
      try {
        const { plaintext, keyId } =
          entry.kind === "blob"
            ? await openBlob({ kms }, entry.blob, blobRules(granted, owner, label))
            : await openMessage({ kms }, entry.message, messageRules(granted, owner, label));
        blobs.set(label, plaintext);
        keyIds.add(keyId);
      } catch (error) {
        if (!(error instanceof Failure)) throw error;
        problems.push(error);
      }
    }),
  );
  return { blobs, keyIds, problems: problems.sort((a, b) => (a.message < b.message ? -1 : 1)) };
}
