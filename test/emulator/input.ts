import { type Json, ServiceError } from "./http.ts";

/** A refused member, in the words of AWS's model validation. */
export function invalid(member: string, constraint: string): ServiceError {
  return new ServiceError(
    "ValidationException",
    `1 validation error detected: Value at '${member}' failed to satisfy constraint: ${constraint}`,
  );
}

/** A string member that may be left out. @throws ServiceError where it is something else */
export function optionalString(input: Json, member: string): string | undefined {
  const value = input[member];
  if (value === undefined || value === null) return undefined;
  if (typeof value !== "string") throw new ServiceError("SerializationException", `${member} has to be a string`);
  return value;
}

/** A string member that has to be there, of at least one character. */
export function requiredString(input: Json, member: string): string {
  const value = optionalString(input, member);
  if (!value) throw invalid(member, "Member must not be null");
  return value;
}

/** A blob member (base64 on the wire) of 1 to `most` bytes. */
export function requiredBytes(input: Json, member: string, most: number): Buffer {
  const bytes = Buffer.from(requiredString(input, member), "base64");
  if (bytes.length < 1) throw invalid(member, "Member must have length greater than or equal to 1");
  if (bytes.length > most) throw invalid(member, `Member must have length less than or equal to ${most}`);
  return bytes;
}

/** A list of strings; empty where the member is left out. */
export function strings(input: Json, member: string): string[] {
  const value = input[member] ?? [];
  if (!Array.isArray(value) || !value.every((item) => typeof item === "string")) {
    throw new ServiceError("SerializationException", `${member} has to be a list of strings`);
  }
  return value as string[];
}

/** A list of objects; empty where the member is left out. */
export function objects(input: Json, member: string): Json[] {
  const value = input[member] ?? [];
  if (!Array.isArray(value)) throw new ServiceError("SerializationException", `${member} has to be a list`);
  return value as Json[];
}

/** A map of strings, as its entries; empty where the member is left out. */
export function stringMap(input: Json, member: string): Map<string, string> {
  const map = new Map(Object.entries((input[member] ?? {}) as Json));
  for (const value of map.values()) {
    if (typeof value !== "string") throw new ServiceError("SerializationException", `${member} has to hold strings`);
  }
  return map as Map<string, string>;
}

/** A whole number between `least` and `most`; `otherwise` where the member is left out. */
export function wholeNumber(input: Json, member: string, least: number, most: number, otherwise: number): number {
  const value = input[member] ?? otherwise;
  if (!Number.isInteger(value)) throw new ServiceError("SerializationException", `${member} has to be a whole number`);
  if ((value as number) < least) throw invalid(member, `Member must have value greater than or equal to ${least}`);
  if ((value as number) > most) throw invalid(member, `Member must have value less than or equal to ${most}`);
  return value as number;
}
