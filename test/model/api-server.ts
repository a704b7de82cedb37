import { isDeepStrictEqual } from "node:util";
import type { SyncedSecret } from "../../src/api/types.ts";
import { type ApplyOptions, type DeleteOptions, type GetOptions, KubeClient } from "../../src/kube/client/client.ts";
import type { TransportOptions } from "../../src/kube/client/transport.ts";
import { KubeError } from "../../src/kube/errors.ts";
import type { ListOptions, ListPage } from "../../src/kube/informer/list-watch.ts";
import type { KubeObject, ObjectMeta, Resource } from "../../src/kube/resource.ts";
import { type Fields, fieldsOf, type Ownership, objectOf, type StoredSecret } from "./secret-fields.ts";

interface SecretRecord {
  /** The returned object, cached until a change. */
  object?: StoredSecret | undefined;
  fields: Fields;
  owners: Ownership[];
  own: ObjectMeta;
}

/** A completed write. */
export interface Written {
  verb: "apply" | "delete";
  plural: string;
  namespace: string;
  name: string;
  object?: StoredSecret;
}

/**
 * The part of the API server that the operator depends on, in memory: Secrets with server-side apply, preconditions and
 * managedFields; other objects whole, with a status. `api-server.test.ts` runs the same requests against the real one.
 * Returned objects are shared and must not be changed.
 */
export class FakeApiServer extends KubeClient {
  /** Called for each write before its response. */
  written: ((write: Written) => void) | undefined;
  /** Called before each write; an exception becomes the response. */
  fault: ((verb: string, plural: string, key: string) => void) | undefined;
  readonly #now: () => number;
  readonly #secrets = new Map<string, SecretRecord>();
  readonly #objects = new Map<string, KubeObject>();
  #version = 1_000;
  #changes = 0;

  /** @param now milliseconds since the epoch, for the API server's timestamps */
  constructor(now: () => number) {
    super({} as TransportOptions);
    this.#now = now;
  }

  override async get<T extends KubeObject>(
    { plural }: Resource,
    namespace: string | undefined,
    name: string,
    { metadataOnly = false }: GetOptions = {},
  ): Promise<T> {
    const key = keyOf(namespace, name);
    const found = plural === "secrets" ? this.secret(namespace!, name) : this.#objects.get(`${plural} ${key}`);
    if (!found) throw new KubeError("notFound", `GET ${plural} ${key}: not found`, { status: 404 });
    return (metadataOnly ? { metadata: found.metadata } : found) as unknown as T;
  }

  override async list<T extends KubeObject>(
    { plural }: Resource,
    { namespace }: ListOptions = {},
  ): Promise<ListPage<T>> {
    const all = plural === "secrets" ? this.secrets() : this.objects(plural);
    const items = all.filter(({ metadata }) => namespace === undefined || metadata.namespace === namespace);
    return { items: items as unknown as T[], resourceVersion: `${this.#version}` };
  }

  override async apply<T extends KubeObject>(resource: Resource, object: T, options: ApplyOptions): Promise<T> {
    const { namespace = "", name = "" } = object.metadata;
    this.fault?.("apply", resource.plural, keyOf(namespace, name));
    if (resource.plural === "secrets") {
      const stored = this.#applySecret(object as unknown as StoredSecret, options);
      this.written?.({ verb: "apply", plural: "secrets", namespace, name, object: stored });
      return stored as unknown as T;
    }
    return this.#applyStatus(resource, object) as T;
  }

  override async delete(
    { plural }: Resource,
    namespace: string | undefined,
    name: string,
    { uid, resourceVersion }: DeleteOptions = {},
  ): Promise<void> {
    const key = keyOf(namespace, name);
    this.fault?.("delete", plural, key);
    const own = plural === "secrets" ? this.#secrets.get(key)?.own : this.#objects.get(`${plural} ${key}`)?.metadata;
    if (!own) throw new KubeError("notFound", `DELETE ${plural} ${key}: not found`, { status: 404 });
    const isOther = uid !== undefined && uid !== own.uid;
    if (isOther || (resourceVersion !== undefined && resourceVersion !== own.resourceVersion)) throw conflict(key);
    if (plural === "secrets") this.#secrets.delete(key);
    else this.#objects.delete(`${plural} ${key}`);
    this.#changes += 1;
    this.written?.({ verb: "delete", plural, namespace: namespace ?? "", name });
  }

  override async create<T extends KubeObject>(_resource: Resource, object: T): Promise<T> {
    return object;
  }

  override async mergePatch<T extends KubeObject>(): Promise<T> {
    throw new KubeError("notFound", "PATCH: not found", { status: 404 });
  }

  /** Puts an object as a person would; a changed spec increments the generation. */
  put(plural: string, object: KubeObject & { spec?: object }): void {
    const { namespace, name } = object.metadata;
    const key = `${plural} ${keyOf(namespace, name!)}`;
    const before = this.#objects.get(key) as typeof object & { status?: object };
    const isSame = before !== undefined && isDeepStrictEqual(before.spec, object.spec);
    const generation = (before?.metadata.generation ?? 0) + (isSame ? 0 : 1);
    const own = before ? { uid: before.metadata.uid! } : { uid: `uid-${++this.#version}` };
    const metadata = { ...object.metadata, ...own, generation, resourceVersion: this.#next() };
    const status = before?.status ? { status: before.status } : {};
    this.#objects.set(key, { ...object, ...status, metadata });
  }

  /** Sets a status, as anyone with permission to patch it could. */
  forge(plural: string, key: string, status: object | undefined): void {
    const { status: _, ...object } = this.#objects.get(`${plural} ${key}`) as KubeObject & { status?: object };
    const metadata = { ...object.metadata, resourceVersion: this.#next() };
    this.#objects.set(`${plural} ${key}`, { ...object, metadata, ...(status ? { status } : {}) });
  }

  object<T extends KubeObject>(plural: string, key: string): T | undefined {
    return this.#objects.get(`${plural} ${key}`) as T | undefined;
  }

  objects(plural: string): KubeObject[] {
    return [...this.#objects].filter(([key]) => key.startsWith(`${plural} `)).map(([, object]) => object);
  }

  secret(namespace: string, name: string): StoredSecret | undefined {
    const record = this.#secrets.get(keyOf(namespace, name));
    return record && given(record);
  }

  secrets(): StoredSecret[] {
    return [...this.#secrets.values()].map(given);
  }

  /** Sets fields of a Secret as `kubectl edit` does; an empty value removes one. */
  edit(namespace: string, name: string, changes: Readonly<Record<string, string>>): void {
    const record = this.#secrets.get(keyOf(namespace, name));
    if (!record) return;
    const changed = Object.entries(changes).filter(([path, value]) => (record.fields.get(path) ?? "") !== value);
    if (changed.length === 0) return;
    for (const [path, value] of changed) {
      for (const { paths } of record.owners) paths.delete(path);
      if (value === "") record.fields.delete(path);
      else record.fields.set(path, value);
    }
    const set = changed.filter(([, value]) => value !== "").map(([path]) => path);
    const editor = record.owners.find(({ manager }) => manager === "kubectl-edit");
    if (editor) for (const path of set) editor.paths.add(path);
    else if (set.length > 0) {
      record.owners.push({ manager: "kubectl-edit", operation: "Update", time: this.#time(), paths: new Set(set) });
    }
    this.#touch(record);
  }

  /** Deletes an object as a person does, regardless of its version. */
  remove(plural: string, namespace: string, name: string): void {
    const key = keyOf(namespace, name);
    if (plural === "secrets") this.#secrets.delete(key);
    else this.#objects.delete(`${plural} ${key}`);
    this.#changes += 1;
  }

  /** Deletes the dependants of deleted owners, as the garbage collector does. */
  collectGarbage(): void {
    const living = new Set(this.objects("syncedsecrets").map(({ metadata }) => metadata.uid));
    for (const [key, { fields }] of this.#secrets) {
      const owners = [...fields.keys()].filter((path) => path.startsWith("owner/"));
      if (owners.length > 0 && owners.every((path) => !living.has(path.slice("owner/".length))))
        this.#secrets.delete(key);
    }
    this.#changes += 1;
  }

  #applySecret(object: StoredSecret, { fieldManager, force = false }: ApplyOptions): StoredSecret {
    const { namespace, name, uid, resourceVersion } = object.metadata;
    const key = keyOf(namespace, name!);
    const before = this.#secrets.get(key);
    if (before ? resourceVersion !== undefined && resourceVersion !== before.own.resourceVersion : uid !== undefined) {
      throw conflict(key);
    }
    if (before && uid !== undefined && uid !== before.own.uid) {
      throw new KubeError("invalid", `PATCH secrets ${key}: invalid`, { causes: [{ field: "metadata.uid" }] });
    }
    const wanted = fieldsOf(object);
    const record = before ?? {
      fields: new Map(),
      owners: [],
      own: { name: name!, namespace: namespace!, uid: `uid-${++this.#version}`, creationTimestamp: this.#time() },
    };
    const others = record.owners.filter(({ manager, operation }) => manager !== fieldManager || operation !== "Apply");
    const taken = [...wanted].filter(([path, value]) => record.fields.has(path) && record.fields.get(path) !== value);
    if (!force) {
      const conflicts = taken.flatMap(([path]) =>
        others.filter(({ paths }) => paths.has(path)).map(({ manager }) => ({ manager, field: path })),
      );
      if (conflicts.length > 0)
        throw new KubeError("fieldManagerConflict", `PATCH secrets ${key}: conflict`, { conflicts });
    }
    const own = record.owners.find((owner) => !others.includes(owner));
    const dropped = [...(own?.paths ?? [])].filter((path) => !wanted.has(path));
    const isSame = own !== undefined && dropped.length === 0 && own.paths.size === wanted.size && taken.length === 0;
    if (isSame && [...wanted.keys()].every((path) => record.fields.has(path))) return given(record);
    for (const path of dropped) if (!others.some(({ paths }) => paths.has(path))) record.fields.delete(path);
    for (const [path] of taken) for (const { paths } of others) paths.delete(path);
    for (const [path, value] of wanted) record.fields.set(path, value);
    const mine: Ownership[] =
      wanted.size > 0
        ? [{ manager: fieldManager, operation: "Apply", time: this.#time(), paths: new Set(wanted.keys()) }]
        : [];
    record.owners = [...others.filter(({ paths }) => paths.size > 0), ...mine];
    this.#touch(record);
    this.#secrets.set(key, record);
    return given(record);
  }

  #applyStatus({ plural }: Resource, object: KubeObject): KubeObject {
    const { namespace, name, uid, resourceVersion } = object.metadata;
    const key = `${plural} ${keyOf(namespace, name!)}`;
    const before = this.#objects.get(key) as (KubeObject & { status?: object }) | undefined;
    if (!before) throw new KubeError("notFound", `PATCH ${key}: not found`, { status: 404 });
    const isStale = resourceVersion !== undefined && resourceVersion !== before.metadata.resourceVersion;
    if (isStale || (uid !== undefined && uid !== before.metadata.uid)) throw conflict(key);
    const status = JSON.parse(JSON.stringify((object as KubeObject & Pick<SyncedSecret, "status">).status ?? {}));
    if (isDeepStrictEqual(before.status, status)) return before;
    const after = { ...before, metadata: { ...before.metadata, resourceVersion: this.#next() }, status };
    this.#objects.set(key, after);
    return after;
  }

  #touch(record: SecretRecord): void {
    record.own = { ...record.own, resourceVersion: this.#next() };
    record.object = undefined;
  }

  /** The number of changes so far. */
  get changes(): number {
    return this.#changes;
  }

  #next(): string {
    this.#changes += 1;
    this.#version += 1;
    return `${this.#version}`;
  }

  #time(): string {
    return new Date(this.#now()).toISOString().replace(/\.[0-9]+Z$/, "Z");
  }
}

function given(record: SecretRecord): StoredSecret {
  record.object ??= objectOf(record.fields, record.own, record.owners);
  return record.object;
}

function keyOf(namespace: string | undefined, name: string): string {
  return namespace ? `${namespace}/${name}` : name;
}

function conflict(key: string): KubeError {
  return new KubeError("conflict", `${key} has changed`, { status: 409 });
}
