import type { Scope } from "../call.ts";
import { ServiceError } from "../http.ts";

/** One version of a parameter, as it is kept. */
export interface Version {
  name: string;
  version: number;
  type: string;
  /** The ciphertext in base64 where the type is SecureString, unless `plain`. */
  value: string;
  /** The value is plaintext although the type is SecureString: Secrets Manager's, passed through. */
  plain?: boolean;
  /** Of a SecureString: the key as it was named. */
  keyId?: string | undefined;
  /** Milliseconds since the epoch. */
  modified: number;
  dataType: string;
  tier: string;
  labels: string[];
  description?: string | undefined;
  allowedPattern?: string | undefined;
  /** The parameter policies, as the JSON that was put. */
  policies?: string | undefined;
  sourceResult?: string | undefined;
}

export type NewVersion = Omit<Version, "version" | "modified" | "labels" | "plain" | "sourceResult">;

/** A name with its selector, as the stores look it up: `name`, `name:3`, `name:label`. */
export type Lookup = string;

/**
 * Where parameters are kept. It does as it is told: who may, what is valid, and what a SecureString is encrypted with
 * is decided before.
 */
export interface Store {
  /** @returns the number of the version that was made @throws ServiceError ParameterMaxVersionLimitExceeded */
  put(scope: Scope, next: NewVersion, overwrite: boolean): Promise<number>;
  /** The versions that exist, by the lookup that found them. */
  find(scope: Scope, lookups: readonly Lookup[]): Promise<Map<Lookup, Version>>;
  /** The latest version of each parameter under a path that ends in a slash, in any order. */
  under(scope: Scope, path: string, recursive: boolean): Promise<Version[]>;
  /** The latest version of every parameter of a scope; where names are given, of those that exist. */
  all(scope: Scope, names?: readonly string[]): Promise<Version[]>;
  /** All versions that are kept, oldest first; none where there is no such parameter. */
  history(scope: Scope, name: string): Promise<Version[]>;
  /** @returns whether there was one */
  remove(scope: Scope, name: string): Promise<boolean>;
  /** Moves labels to a version that exists. @returns the ones that are no valid labels */
  label(scope: Scope, name: string, version: number, labels: readonly string[]): Promise<string[]>;
  /** @returns the labels that were taken away */
  unlabel(scope: Scope, name: string, version: number, labels: readonly string[]): Promise<string[]>;
  tags(scope: Scope, name: string): Promise<Map<string, string>>;
  setTags(scope: Scope, name: string, tags: ReadonlyMap<string, string>): Promise<void>;
  removeTags(scope: Scope, name: string, keys: readonly string[]): Promise<void>;
}

export function notFound(name: string): ServiceError {
  return new ServiceError("ParameterNotFound", `Parameter ${name} not found.`);
}
