import type { Clock } from "../../../src/runtime/clock.ts";
import type { Call } from "../call.ts";
import type { Denials } from "../denials.ts";
import { type Json, ServiceError } from "../http.ts";
import { objects, optionalString, requiredString, wholeNumber } from "../input.ts";
import { type Key, type Keys, keyArn } from "./keys.ts";
import { makeKey, makeMaterial, rsaHashes, specs } from "./material.ts";
import type { KeyStores } from "./stores.ts";

const dayMs = 86_400_000;

/** The life of keys and aliases. */
export class KeyAdmin {
  #keys: Keys;
  #stores: KeyStores;
  #denials: Denials;
  #clock: Clock;

  constructor(keys: Keys, stores: KeyStores, denials: Denials, clock: Clock) {
    this.#keys = keys;
    this.#stores = stores;
    this.#denials = denials;
    this.#clock = clock;
  }

  async createKey(call: Call): Promise<Json> {
    const { input } = call;
    this.#denials.check(call, "*");
    const spec =
      optionalString(input, "KeySpec") ?? optionalString(input, "CustomerMasterKeySpec") ?? "SYMMETRIC_DEFAULT";
    const usage = optionalString(input, "KeyUsage") ?? "ENCRYPT_DECRYPT";
    const origin = optionalString(input, "Origin") ?? "AWS_KMS";
    if (!specs.get(spec)?.usage.includes(usage)) {
      throw new ServiceError("ValidationException", `KeyUsage ${usage} is not compatible with KeySpec ${spec}`);
    }
    if (origin !== "AWS_KMS" && (!["EXTERNAL", "AWS_CLOUDHSM"].includes(origin) || spec !== "SYMMETRIC_DEFAULT")) {
      throw new ServiceError("UnsupportedOperationException", `Origin ${origin} is not imitated with KeySpec ${spec}`);
    }
    const key: Key = {
      ...this.#keys.draft(call, input.MultiRegion === true),
      spec,
      usage,
      origin: origin as Key["origin"],
      storeId: origin === "AWS_CLOUDHSM" ? this.#stores.forNewKey(call) : undefined,
      description: optionalString(input, "Description") ?? "",
      material: origin === "EXTERNAL" ? { kind: "symmetric", keys: [] } : await makeMaterial(spec),
      tags: tagsOf(input),
    };
    if (input.MultiRegion === true) key.primary = key;
    this.#keys.add(key);
    return { KeyMetadata: this.#metadata(key) };
  }

  /** A replica has the id and the material of its primary; its state, aliases and tags are its own. */
  replicateKey(call: Call): Json {
    const primary = this.#key(call);
    const region = requiredString(call.input, "ReplicaRegion");
    if (!primary.primary) {
      throw new ServiceError("UnsupportedOperationException", `${primary.arn} is not a multi-Region key`);
    }
    this.#keys.usable(primary);
    if (this.#keys.family(primary).some((key) => key.region === region)) {
      throw new ServiceError("AlreadyExistsException", `A replica already exists in ${region}`);
    }
    const replica: Key = {
      ...primary,
      region,
      arn: keyArn({ account: primary.account, region }, primary.id),
      description: optionalString(call.input, "Description") ?? "",
      created: this.#clock.now(),
      tags: tagsOf(call.input),
    };
    this.#keys.add(replica);
    return { ReplicaKeyMetadata: this.#metadata(replica), ReplicaPolicy: "", ReplicaTags: tagList(replica) };
  }

  describeKey(call: Call): Json {
    return { KeyMetadata: this.#metadata(this.#key(call)) };
  }

  listKeys(call: Call): Json {
    this.#denials.check(call, "*");
    return { Keys: this.#keys.in(call).map(({ id, arn }) => ({ KeyId: id, KeyArn: arn })), Truncated: false };
  }

  getPublicKey(call: Call): Json {
    const key = this.#key(call);
    if (key.material.kind !== "pair") {
      throw new ServiceError("UnsupportedOperationException", `${key.arn} has no public key`);
    }
    this.#keys.usable(key);
    const der = key.material.publicKey.export({ type: "spki", format: "der" });
    return {
      KeyId: key.arn,
      PublicKey: der.toString("base64"),
      KeySpec: key.spec,
      CustomerMasterKeySpec: key.spec,
      ...uses(key),
    };
  }

  enableKey(call: Call, enabled: boolean): Json {
    const key = this.#key(call);
    const state = this.#keys.state(key);
    if (state === "PendingDeletion" || state === "PendingImport") this.#keys.usable(key);
    key.enabled = enabled;
    return {};
  }

  scheduleKeyDeletion(call: Call): Json {
    const key = this.#key(call);
    const days = wholeNumber(call.input, "PendingWindowInDays", 7, 30, 30);
    if (key.deletionAt !== undefined) this.#keys.usable(key);
    key.deletionAt = this.#clock.now() + days * dayMs;
    return {
      KeyId: key.arn,
      DeletionDate: key.deletionAt / 1000,
      KeyState: this.#keys.state(key),
      PendingWindowInDays: days,
    };
  }

  cancelKeyDeletion(call: Call): Json {
    const key = this.#key(call);
    if (key.deletionAt === undefined) {
      throw new ServiceError("KMSInvalidStateException", `${key.arn} is not pending deletion.`);
    }
    key.deletionAt = undefined;
    // What was to be deleted comes back disabled.
    key.enabled = false;
    return { KeyId: key.arn };
  }

  /** New material for what is encrypted from now on; what was encrypted before stays readable. */
  rotateKeyOnDemand(call: Call): Json {
    const key = this.#key(call);
    if (key.material.kind !== "symmetric" || key.origin !== "AWS_KMS") {
      throw new ServiceError("UnsupportedOperationException", `${key.arn} cannot be rotated`);
    }
    this.#keys.usable(key);
    key.material.keys.push(makeKey());
    return { KeyId: key.arn };
  }

  setRotation(call: Call, on: boolean): Json {
    this.#key(call).rotating = on;
    return {};
  }

  getKeyRotationStatus(call: Call): Json {
    const key = this.#key(call);
    return { KeyRotationEnabled: key.rotating, KeyId: key.arn };
  }

  createAlias(call: Call): Json {
    const key = this.#keys.find(call, requiredString(call.input, "TargetKeyId"));
    this.#denials.check(call, key.arn);
    this.#keys.addAlias(call, requiredString(call.input, "AliasName"), key);
    return {};
  }

  updateAlias(call: Call): Json {
    const name = requiredString(call.input, "AliasName");
    const key = this.#keys.find(call, requiredString(call.input, "TargetKeyId"));
    this.#denials.check(call, key.arn);
    this.#keys.removeAlias(call, name);
    this.#keys.addAlias(call, name, key);
    return {};
  }

  deleteAlias(call: Call): Json {
    this.#denials.check(call, "*");
    this.#keys.removeAlias(call, requiredString(call.input, "AliasName"));
    return {};
  }

  listAliases(call: Call): Json {
    this.#denials.check(call, "*");
    const keyId = optionalString(call.input, "KeyId");
    const key = keyId === undefined ? undefined : this.#keys.find(call, keyId);
    return { Aliases: this.#keys.aliases(call, key), Truncated: false };
  }

  listResourceTags(call: Call): Json {
    const tags = tagList(this.#key(call));
    return { Tags: tags.map(({ Key, Value }) => ({ TagKey: Key, TagValue: Value })), Truncated: false };
  }

  #key(call: Call): Key {
    const key = this.#keys.find(call, requiredString(call.input, "KeyId"));
    this.#denials.check(call, key.arn);
    return key;
  }

  #metadata(key: Key): Json {
    const state = this.#keys.state(key);
    return {
      AWSAccountId: key.account,
      KeyId: key.id,
      Arn: key.arn,
      CreationDate: key.created / 1000,
      Enabled: state === "Enabled",
      Description: key.description,
      KeyState: state,
      Origin: key.origin,
      CustomKeyStoreId: key.storeId,
      KeyManager: key.manager,
      KeySpec: key.spec,
      CustomerMasterKeySpec: key.spec,
      MultiRegion: key.primary !== undefined,
      ...uses(key),
      ...(key.deletionAt === undefined ? {} : { DeletionDate: key.deletionAt / 1000 }),
      ...(key.origin === "EXTERNAL" && state !== "PendingImport"
        ? key.validTo === undefined
          ? { ExpirationModel: "KEY_MATERIAL_DOES_NOT_EXPIRE" }
          : { ExpirationModel: "KEY_MATERIAL_EXPIRES", ValidTo: key.validTo / 1000 }
        : {}),
      ...(key.primary ? { MultiRegionConfiguration: this.#family(key, key.primary) } : {}),
    };
  }

  #family(key: Key, primary: Key): Json {
    const listed = ({ arn, region }: Key) => ({ Arn: arn, Region: region });
    return {
      MultiRegionKeyType: key === primary ? "PRIMARY" : "REPLICA",
      PrimaryKey: listed(primary),
      ReplicaKeys: this.#keys
        .family(key)
        .filter((other) => other !== primary)
        .map(listed),
    };
  }
}

/** What a key is for, and by which algorithms. */
function uses(key: Key): Json {
  if (key.usage !== "ENCRYPT_DECRYPT") return { KeyUsage: key.usage };
  const algorithms = key.material.kind === "symmetric" ? ["SYMMETRIC_DEFAULT"] : [...rsaHashes.keys()];
  return { KeyUsage: key.usage, EncryptionAlgorithms: algorithms };
}

function tagsOf(input: Json): Map<string, string> {
  return new Map(
    objects(input, "Tags").map((tag) => [requiredString(tag, "TagKey"), optionalString(tag, "TagValue") ?? ""]),
  );
}

function tagList(key: Key): { Key: string; Value: string }[] {
  return [...key.tags].map(([Key, Value]) => ({ Key, Value }));
}
