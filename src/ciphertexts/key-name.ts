import { isMultiRegion, keyArnText, parseKeyRef, partitionOf } from "../aws/names.ts";

/**
 * Returns the key reference to send to KMS in the connection's region. Calls never go to another region. The ARN of a
 * multi-Region key (`mrk-`) selects its replica in this region (AWS KMS Developer Guide, "Multi-Region keys"). Other
 * keys of another region are rejected.
 *
 * @param keyId an ARN, an id or an alias, as the user wrote it
 * @returns the reference, or a clause that states why it is rejected
 */
export function keyIn(keyId: string, region: string): { keyId: string } | { problem: string } {
  const ref = parseKeyRef(keyId);
  if (!ref) return { problem: "is no key: give a key's ARN, its id, or an alias as alias/NAME" };
  if (ref.kind === "id" || ref.kind === "alias") return { keyId };
  const partition = partitionOf(region);
  if (ref.partition !== partition) {
    return {
      problem: `is of the partition ${ref.partition}, and its connection of ${partition}: use another connection`,
    };
  }
  if (ref.region === region) return { keyId };
  if (ref.kind === "keyArn" && isMultiRegion(ref.id)) return { keyId: keyArnText({ ...ref, region }) };
  const remedy =
    ref.kind === "keyArn"
      ? "encrypt with a key that is there or is multi-Region"
      : "name an alias that is there, or a multi-Region key by its ARN";
  return {
    problem: `is of ${ref.region}, and its connection of ${region}: ${remedy}, or use a connection of ${ref.region}`,
  };
}

/** Reports whether the reference is an alias, which can be moved to another key. */
export function isAlias(keyId: string): boolean {
  const kind = parseKeyRef(keyId)?.kind;
  return kind === "alias" || kind === "aliasArn";
}
