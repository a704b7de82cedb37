import type { DirectScope, Door } from "./door.ts";

/** A parameter to put; the type is String, and an existing one is overwritten, unless said otherwise. */
export interface PutParameter {
  name: string;
  value: string;
  type?: "String" | "StringList" | "SecureString";
  keyId?: string;
  tier?: "Standard" | "Advanced" | "Intelligent-Tiering";
  /** The parameter policies as JSON. */
  policies?: string;
  overwrite?: boolean;
  description?: string;
}

/** A key to make; symmetric unless said otherwise. */
export interface CreateKey {
  spec?: string;
  usage?: string;
  multiRegion?: boolean;
  origin?: "AWS_KMS" | "EXTERNAL";
  /** The custom key store that it is to be in, which has to be connected. */
  store?: string;
  /** Made too, where it is given: `alias/NAME`. */
  alias?: string;
}

/** A plaintext to encrypt. */
export interface Encrypt {
  keyId: string;
  plaintext: string;
  context?: Record<string, string>;
  algorithm?: string;
}

/** What a test prepares: done past counting, quota, faults and denials; change events are sent all the same. */
export interface Preparations {
  /** @returns the version's number */
  putParameter(parameter: PutParameter, scope?: DirectScope): Promise<number>;
  /** As putParameter, one after another: one request for thousands of them. */
  putParameters(parameters: readonly PutParameter[], scope?: DirectScope): Promise<void>;
  deleteParameter(name: string, scope?: DirectScope): Promise<void>;
  /** Labels the latest version when none is given. */
  labelParameterVersion(name: string, labels: string[], version?: number, scope?: DirectScope): Promise<void>;
  /** @returns the key's ARN */
  createKey(key?: CreateKey, scope?: DirectScope): Promise<string>;
  /** @returns the ciphertext in base64 */
  encrypt(what: Encrypt, scope?: DirectScope): Promise<string>;
}

/** The preparations, carried out through `direct` of a door. */
export function preparations(direct: Door["direct"]): Preparations {
  const made: Preparations = {
    async putParameter(parameter, scope) {
      const { name, value, type, keyId, tier, policies, overwrite, description } = parameter;
      const what = { Name: name, Value: value, Type: type, KeyId: keyId, Tier: tier, Policies: policies };
      const input = { ...what, Overwrite: overwrite ?? true, Description: description };
      try {
        return (await direct("ssm", "PutParameter", input, scope)).Version as number;
      } catch (error) {
        const missing = type === undefined && /parameter type is required/.test((error as Error).message);
        if (!missing) throw error;
        return (await direct("ssm", "PutParameter", { ...input, Type: "String" }, scope)).Version as number;
      }
    },
    async putParameters(parameters, scope) {
      for (const parameter of parameters) await made.putParameter(parameter, scope);
    },
    async deleteParameter(name, scope) {
      await direct("ssm", "DeleteParameter", { Name: name }, scope);
    },
    async labelParameterVersion(name, labels, version, scope) {
      await direct("ssm", "LabelParameterVersion", { Name: name, Labels: labels, ParameterVersion: version }, scope);
    },
    async createKey({ spec, usage, multiRegion, origin, store, alias } = {}, scope) {
      const inStore = store === undefined ? {} : { Origin: "AWS_CLOUDHSM", CustomKeyStoreId: store };
      const input = { KeySpec: spec, KeyUsage: usage, MultiRegion: multiRegion, Origin: origin, ...inStore };
      const { Arn } = (await direct("kms", "CreateKey", input, scope)).KeyMetadata as { Arn: string };
      if (alias) await direct("kms", "CreateAlias", { AliasName: alias, TargetKeyId: Arn }, scope);
      return Arn;
    },
    async encrypt({ keyId, plaintext, context, algorithm }, scope) {
      const Plaintext = Buffer.from(plaintext).toString("base64");
      const input = { KeyId: keyId, Plaintext, EncryptionContext: context, EncryptionAlgorithm: algorithm };
      return (await direct("kms", "Encrypt", input, scope)).CiphertextBlob as string;
    },
  };
  return made;
}
