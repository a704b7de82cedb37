import type { SyncedSecretSpec } from "../src/api/types.ts";
import { keysOf } from "../test/e2e/stage.ts";

/** SyncedSecrets `r0`, `r1`, … of one namespace, and the parameters that they carry. */
export interface Load {
  /** The namespace, and where their parameters begin. */
  name: string;
  resources: number;
  /** The parameters of one resource, one a key. */
  parameters: (index: number) => string[];
  /** What their specs hold besides the data. */
  spec?: Partial<SyncedSecretSpec>;
}

/** Resources of so many keys each; no two share a parameter. */
export function distinct(name: string, resources: number, keys: number): Load {
  return { name, resources, parameters: (i) => Array.from({ length: keys }, (_, key) => `/${name}/r${i}/k${key}`) };
}

/** Resources that share so many parameters, with so many of them in each. */
export function sharing(name: string, resources: number, keys: number, parameters: number): Load {
  const of = (i: number) => Array.from({ length: keys }, (_, key) => `/${name}/p${(i * keys + key) % parameters}`);
  return { name, resources, parameters: of };
}

/** The spec of one resource. */
export function specOf(load: Load, index: number): SyncedSecretSpec {
  return { ...load.spec, ...keysOf(load.parameters(index)) };
}

/** Every parameter of a load, once. */
export function parametersOf(load: Load): string[] {
  const names = Array.from({ length: load.resources }, (_, index) => load.parameters(index)).flat();
  return [...new Set(names)];
}
