import type { Clock } from "../../../src/runtime/clock.ts";
import type { Call } from "../call.ts";
import type { Denials } from "../denials.ts";
import type { Json } from "../http.ts";
import { KeyAdmin } from "./admin.ts";
import { KeyImport } from "./import.ts";
import { Keys } from "./keys.ts";
import { KeyStores } from "./stores.ts";
import { KeyUse } from "./use.ts";

type Operation = (call: Call) => Json | Promise<Json>;

/** The door's own KMS: keys by account and region, with states, rotation, import and replicas. */
export class Kms {
  /** For SSM, which encrypts in its callers' names. */
  readonly use: KeyUse;
  #operations: ReadonlyMap<string, Operation>;

  constructor(clock: Clock, denials: Denials) {
    const stores = new KeyStores(denials);
    const keys = new Keys(clock, stores);
    const use = new KeyUse(keys, denials);
    const admin = new KeyAdmin(keys, stores, denials, clock);
    const imports = new KeyImport(keys, denials);
    this.use = use;
    this.#operations = new Map<string, Operation>([
      ["Encrypt", (call) => use.encrypt(call)],
      ["Decrypt", (call) => use.decrypt(call)],
      ["ReEncrypt", (call) => use.reEncrypt(call)],
      ["GenerateDataKey", (call) => use.generateDataKey(call, true)],
      ["GenerateDataKeyWithoutPlaintext", (call) => use.generateDataKey(call, false)],
      ["CreateKey", (call) => admin.createKey(call)],
      ["ReplicateKey", (call) => admin.replicateKey(call)],
      ["DescribeKey", (call) => admin.describeKey(call)],
      ["ListKeys", (call) => admin.listKeys(call)],
      ["GetPublicKey", (call) => admin.getPublicKey(call)],
      ["EnableKey", (call) => admin.enableKey(call, true)],
      ["DisableKey", (call) => admin.enableKey(call, false)],
      ["ScheduleKeyDeletion", (call) => admin.scheduleKeyDeletion(call)],
      ["CancelKeyDeletion", (call) => admin.cancelKeyDeletion(call)],
      ["RotateKeyOnDemand", (call) => admin.rotateKeyOnDemand(call)],
      ["EnableKeyRotation", (call) => admin.setRotation(call, true)],
      ["DisableKeyRotation", (call) => admin.setRotation(call, false)],
      ["GetKeyRotationStatus", (call) => admin.getKeyRotationStatus(call)],
      ["CreateAlias", (call) => admin.createAlias(call)],
      ["UpdateAlias", (call) => admin.updateAlias(call)],
      ["DeleteAlias", (call) => admin.deleteAlias(call)],
      ["ListAliases", (call) => admin.listAliases(call)],
      ["ListResourceTags", (call) => admin.listResourceTags(call)],
      ["CreateCustomKeyStore", (call) => stores.create(call)],
      ["ConnectCustomKeyStore", (call) => stores.connect(call, true)],
      ["DisconnectCustomKeyStore", (call) => stores.connect(call, false)],
      ["GetParametersForImport", (call) => imports.getParametersForImport(call)],
      ["ImportKeyMaterial", (call) => imports.importKeyMaterial(call)],
      ["DeleteImportedKeyMaterial", (call) => imports.deleteImportedKeyMaterial(call)],
    ]);
  }

  /** @returns undefined for an operation that is not imitated */
  async handle(call: Call): Promise<Json | undefined> {
    return this.#operations.get(call.operation)?.(call);
  }
}
