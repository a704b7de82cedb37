import type { SyncedSecretSpec } from "../src/api/types.ts";
import { keysOf } from "../test/e2e/stage.ts";

/** SyncedSecrets `r0`, `r1`, … of one namespace, and their parameters. */
export interface Load {
  /** The namespace, also the first level of their parameters' names. */
  name: string;
  resources: number;
  /** The parameters of one resource, one per key. */
  parameters: (index: number) => string[];
  /** Fields of their specs other than data. */
  spec?: Partial<SyncedSecretSpec>;
}

/** Resources with `keys` keys each and no shared parameters. */
export function distinct(name: string, resources: number, keys: number): Load {
  return { name, resources, parameters: (i) => Array.from({ length: keys }, (_, key) => `/${name}/r${i}/k${key}`) };
}

/** Resources that share `parameters` parameters, with `keys` of them in each. */
export function sharing(name: string, resources: number, keys: number, parameters: number): Load {
  const of = (i: number) => Array.from({ length: keys }, (_, key) => `/${name}/p${(i * keys + key) % parameters}`);
  return { name, resources, parameters: of };
}

/** The spec of one resource. */
export function specOf(load: Load, index: number): SyncedSecretSpec {
  return { ...load.spec, ...keysOf(load.parameters(index)) };
}

/** The distinct parameters of a load. */
export function parametersOf(load: Load): string[] {
  const names = Array.from({ length: load.resources }, (_, index) => load.parameters(index)).flat();
  return [...new Set(names)];
}
