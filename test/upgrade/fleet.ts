import type { SyncedSecretSpec } from "../../src/api/types.ts";
import type { ClusterHandle } from "../cluster/handle.ts";
import { documents, synced } from "../e2e/stage.ts";
import type { Emulator } from "../emulator/emulator.ts";

/** Each way to make a Secret that an upgrade could treat differently. */
const kinds = [
  "plain",
  "pinned",
  "label",
  "path",
  "json",
  "merge",
  "orphan",
  "once",
  "optional",
  "blob",
  "missing",
] as const;
type Kind = (typeof kinds)[number];

/** Kinds that follow their sources, of which every second SyncedSecret is changed. */
const following: readonly Kind[] = ["plain", "label", "path", "json", "merge", "orphan"];

/** One SyncedSecret and its sources. */
export interface Member {
  name: string;
  kind: Kind;
  /** The Secret's name. */
  secret: string;
  /** The Secret's key whose value `put` sets. */
  key: string;
  /** Its parameters; `put` changes the first. */
  parameters: readonly string[];
  /** Whether `put` is used on it. */
  changes: boolean;
}

type Aws = Pick<Emulator, "putParameter" | "labelParameterVersion" | "createKey" | "encrypt">;

/** SyncedSecrets of every kind in one namespace. */
export class Fleet {
  readonly namespace: string;
  readonly members: readonly Member[];
  readonly #aws: Aws;

  constructor(namespace: string, size: number, aws: Aws) {
    this.namespace = namespace;
    this.#aws = aws;
    this.members = Array.from({ length: size }, (_, index) => memberOf(namespace, index));
  }

  /** Members that stay as they are. */
  get quiet(): Member[] {
    return this.members.filter(({ changes }) => !changes);
  }

  /** Members that `put` is used on. */
  get changing(): Member[] {
    return this.members.filter(({ changes }) => changes);
  }

  /** Members that become Ready. */
  get synced(): Member[] {
    return this.members.filter(({ kind }) => kind !== "missing");
  }

  /** Puts every parameter, and applies the namespace, the Secrets that are merged into, and the SyncedSecrets. */
  async create(cluster: ClusterHandle): Promise<void> {
    const keyId = await this.#aws.createKey();
    const ciphertext = await this.#aws.encrypt({ keyId, plaintext: "of the blob" });
    await cluster.run(["create", "namespace", this.namespace]);
    const objects: object[] = [];
    for (const member of this.members) {
      if (member.kind !== "missing") {
        for (const name of member.parameters) await this.#put(member, name, "first");
      }
      if (member.kind === "merge") objects.push(mergeTarget(this.namespace, member));
      objects.push(synced(this.namespace, member.name, specOf(member, { keyId, ciphertext })));
    }
    await cluster.run(["apply", "--server-side", "-f", "-"], documents(objects));
  }

  /** Changes the member's first parameter. */
  async put(member: Member, value: string): Promise<void> {
    await this.#put(member, member.parameters[0]!, value);
  }

  async #put({ kind }: Member, name: string, value: string): Promise<void> {
    const text = kind === "json" ? JSON.stringify({ user: value }) : value;
    await this.#aws.putParameter({ name, type: "SecureString", value: text });
    if (kind === "label") await this.#aws.labelParameterVersion(name, ["prod"]);
  }
}

function memberOf(namespace: string, index: number): Member {
  const kind = kinds[index % kinds.length]!;
  const round = Math.floor(index / kinds.length);
  const name = `${kind}-${round}`;
  const parameter = `/${namespace}/${name}`;
  return {
    name,
    kind,
    secret: kind === "merge" ? `${name}-target` : name,
    key: { path: "a", json: "user" }[kind as string] ?? "K0",
    parameters: kind === "path" ? [`${parameter}/a`, `${parameter}/b`] : [`${parameter}-0`, `${parameter}-1`],
    changes: following.includes(kind) && round % 2 === 0,
  };
}

function specOf({ kind, name, secret, parameters }: Member, blob: { keyId: string; ciphertext: string }) {
  const [first, second] = parameters as [string, string];
  const data = [
    { key: "K0", parameter: { name: first } },
    { key: "K1", parameter: { name: second } },
  ];
  const none = `${first}-none`;
  const specs: Record<Kind, SyncedSecretSpec> = {
    plain: { data },
    pinned: { data: data.map(({ key, parameter }) => ({ key, parameter: { ...parameter, version: 1 } })) },
    label: { data: data.map(({ key, parameter }) => ({ key, parameter: { ...parameter, label: "prod" } })) },
    path: { dataFrom: [{ path: { name: first.slice(0, -"a".length) } }] },
    json: {
      dataFrom: [{ parameter: { name: first }, format: "JSON" }],
      target: { template: { data: { conf: "user={{ user }}" }, includeSourceKeys: true } },
    },
    merge: { data, target: { name: secret, creationPolicy: "Merge" } },
    orphan: { data, target: { creationPolicy: "Orphan", labels: { team: name } } },
    once: { data, refresh: { policy: "Once" } },
    optional: { data: [...data, { key: "N", parameter: { name: none }, optional: true }] },
    blob: { data: [...data, { key: "B", kms: blob }] },
    missing: { data },
  };
  return specs[kind];
}

function mergeTarget(namespace: string, { name, secret }: Member): object {
  const metadata = { name: secret, namespace, annotations: { "keyferry.io/allow-merge": name } };
  return { apiVersion: "v1", kind: "Secret", metadata, stringData: { theirs: "kept" } };
}
