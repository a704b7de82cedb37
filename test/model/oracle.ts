import { allowsParameter } from "../../src/aws/allow.ts";
import type { Call } from "../support/fake-aws.ts";
import type { Written } from "./api-server.ts";
import type { StoredSecret } from "./secret-fields.ts";
import { missingGraceMs, type Resource, type Tenants } from "./tenants.ts";

/**
 * The format of values: `name#count` with the count of all puts, so that later values of a parameter have higher
 * counts.
 */
const form = /^(\/[a-z/]+)#([0-9]+)$/;

/** One key that a SyncedSecret requests. */
interface WantedKey {
  key: string;
  name: string;
  /** Whether the key may be absent while its parameter does not exist. */
  optional: boolean;
}

/**
 * Checks what the operator may do, from AWS's state and the connection's allow rules, never from a status. A violation
 * is thrown by the write that caused it, and again at the end of the schedule.
 */
export class Oracle {
  patterns: readonly string[] = [];
  readonly violations: string[] = [];
  readonly #tenants: Tenants;
  /**
   * When this process first observed that a parameter is missing, in monotonic milliseconds; removed once it was found.
   */
  readonly #missingSince = new Map<string, number>();
  /** The data of each Secret's last write, and its generation. */
  readonly #last = new Map<string, { generation: string; data: Record<string, string> }>();
  /** Secrets that a person has deleted, until they are written again. */
  readonly #forgotten = new Set<string>();
  writes = 0;

  constructor(tenants: Tenants) {
    this.#tenants = tenants;
  }

  /** Handles a person's deletion of a Secret: no bytes are left to keep. */
  forget(key: string): void {
    this.#last.delete(key);
    this.#forgotten.add(key);
  }

  /** Handles a new process, which has observed nothing. */
  restarted(): void {
    this.#missingSince.clear();
  }

  /** Handles a call that AWS is about to answer correctly. */
  asked({ operation, names }: Call): void {
    const { aws, clock } = this.#tenants;
    const listed = operation === "GetParametersByPath" ? everyName.filter((name) => name.startsWith(names[0]!)) : names;
    for (const name of listed) {
      if (aws.parameters.has(name)) this.#missingSince.delete(name);
      else if (!this.#missingSince.has(name)) this.#missingSince.set(name, clock.monotonic());
    }
  }

  /** Handles a write to the API server. */
  written({ verb, plural, namespace, name, object }: Written): void {
    if (plural !== "secrets") return;
    this.writes += 1;
    const key = `${namespace}/${name}`;
    const resource = this.#tenants.resource(key);
    if (!resource) this.#broken(`Secret ${key} was written for no SyncedSecret`);
    else if (verb === "delete") this.#deleted(key, resource);
    else this.#applied(key, resource, ownDataOf(object!));
  }

  /** Compares the final state of the API server with AWS, after everything had enough time. */
  settled(): void {
    for (const resource of this.#tenants.api.objects("syncedsecrets") as Resource[]) this.#check(resource);
  }

  #check(resource: Resource): void {
    const { namespace, name } = resource.metadata;
    const { aws, api } = this.#tenants;
    const key = `${namespace}/${name}`;
    const secret = api.secret(namespace!, name!);
    const ready = resource.status?.conditions?.find(({ type }) => type === "Ready");
    const said = `Ready=${ready?.status} ${ready?.reason}: ${ready?.message}`;
    if (resource.spec.suspend) return;
    const wanted = wantedOf(resource, [...aws.parameters.keys()]);
    const named = wantedOf(resource, everyName);
    const isGoneMember = (one: string) => one.startsWith("/a/") && !aws.parameters.has(one);
    if (!named.every((one) => this.#isAllowed(one.name, namespace!))) {
      if (ready?.status !== "False") this.#broken(`${key} uses what is not allowed, and says ${said}`);
      return;
    }
    const missing = wanted.filter((one) => !one.optional && !aws.parameters.has(one.name));
    const policy = resource.spec.refresh?.whenMissing ?? "Retain";
    if (missing.length > 0) {
      if (policy === "DeleteKeys") return;
      if (ready?.status !== "False") {
        this.#broken(`${key} lacks ${missing.map((one) => one.name)}, and says ${said}`);
      }
      return;
    }
    // A deleted member of a path counts as missing for as long as the Secret keeps its bytes.
    const hasLost = resource.spec.dataFrom !== undefined && everyName.some(isGoneMember);
    const mayMiss = hasLost && policy !== "DeleteKeys";
    // A deleted Secret cannot be recreated from missing parameters.
    if (mayMiss && !secret && (policy === "DeleteSecret" || ready?.status === "False")) return;
    // Keys without a verified revision are kept, and the Secret lists them.
    const keeps = Object.keys(secret?.metadata.annotations ?? {}).some((one) =>
      one.startsWith("keyferry.io/retained-keys"),
    );
    // Its own status may say that a lost member had expired: then whenExpired applies, here Retain.
    const mayBeExpired = hasLost && ready?.reason === "Expired";
    const isFine = ready?.status === "True" || mayBeExpired || ((mayMiss || keeps) && ready?.reason === "SourceGone");
    if (!isFine) this.#broken(`${key} has all that it needs, and says ${said}`);
    const data = textOf(secret?.data ?? {});
    for (const one of wanted) {
      const value = presentValue(this.#tenants, one.name);
      if (data[one.key] !== value && !(keeps && value === undefined))
        this.#broken(`${key} has ${data[one.key]} for ${one.key}, and AWS ${value}: ${said}`);
    }
  }

  #deleted(key: string, resource: Resource): void {
    this.#last.delete(key);
    const policy = resource.spec.refresh?.whenMissing;
    if (policy !== "DeleteSecret") this.#broken(`Secret ${key} was deleted under ${policy ?? "Retain"}`);
    const names = wantedOf(resource, everyName).filter((one) => !one.optional);
    if (!names.some((one) => this.#isGone(one.name))) {
      this.#broken(`Secret ${key} was deleted, and AWS has not said for the whole grace that anything is missing`);
    }
  }

  #applied(key: string, resource: Resource, data: Record<string, string>): void {
    const namespace = resource.metadata.namespace!;
    const generation = `${resource.metadata.uid} ${resource.metadata.generation}`;
    const before = this.#last.get(key);
    for (const value of Object.values(data)) {
      const [, name = ""] = form.exec(value) ?? [];
      // Foreign keys of the Secret stay, so only values in the format of a parameter count.
      if (name !== "" && !this.#isAllowed(name, namespace))
        this.#broken(`Secret ${key} got ${value}, which is not allowed`);
    }
    if (resource.spec.suspend) this.#broken(`Secret ${key} was written while suspended`);
    for (const one of wantedOf(resource, everyName)) {
      const isAnew = this.#forgotten.has(key) && resource.spec.dataFrom !== undefined;
      if (isAnew && !this.#tenants.aws.parameters.has(one.name)) continue;
      const [value, was] = [data[one.key], before?.generation === generation ? before.data[one.key] : undefined];
      if (value === undefined) this.#mayLack(key, resource, one, was !== undefined);
      else if (countOf(value) < countOf(was)) this.#broken(`Secret ${key} went back from ${was} to ${value}`);
    }
    this.#forgotten.delete(key);
    this.#last.set(key, { generation, data });
  }

  /** A key may be absent if AWS has reported its parameter missing: for the whole grace, if it existed. */
  #mayLack(key: string, resource: Resource, { key: lacks, name, optional }: WantedKey, wasThere: boolean): void {
    const isOfPath = resource.spec.dataFrom !== undefined && !resource.spec.data?.some((entry) => entry.key === lacks);
    const mayDrop = optional || resource.spec.refresh?.whenMissing === "DeleteKeys";
    const hasHeard = this.#missingSince.has(name);
    if (isOfPath && !wasThere && (hasHeard || !this.#tenants.aws.parameters.has(name))) return;
    if (mayDrop && (wasThere ? this.#isGone(name) : hasHeard)) return;
    this.#broken(`Secret ${key} was written without ${lacks} (${name}), and AWS has not said that it is missing`);
  }

  #isGone(name: string): boolean {
    const since = this.#missingSince.get(name);
    return since !== undefined && this.#tenants.clock.monotonic() - since >= missingGraceMs;
  }

  #isAllowed(name: string, namespace: string): boolean {
    return allowsParameter(this.patterns, name, namespace).allowed;
  }

  #broken(what: string): void {
    this.violations.push(what);
  }
}

/** All parameter names. */
export const everyName = ["/shared/x", "/shared/z", "/a/y", "/a/w", "/b/z"];

/** The keys of a spec from its parameters; for paths, from `names`. */
function wantedOf({ spec }: Resource, names: readonly string[]): WantedKey[] {
  const data = (spec.data ?? []).map((entry) => ({
    key: entry.key,
    name: entry.parameter!.name,
    optional: entry.optional ?? false,
  }));
  const members = (spec.dataFrom ?? []).flatMap(({ path }) =>
    names
      .filter((name) => name.startsWith(path!.name))
      .map((name) => ({ key: name.slice(path!.name.length), name, optional: false })),
  );
  return [...members, ...data];
}

/** The keys that the operator itself has set: a key set by others stays when the operator drops it. */
function ownDataOf({ data, metadata }: StoredSecret): Record<string, string> {
  const own = metadata.managedFields?.filter(({ manager }) => manager?.startsWith("keyferry")) ?? [];
  const fields = own.map(({ fieldsV1 }) => (fieldsV1 as { "f:data"?: object } | undefined)?.["f:data"] ?? {});
  const isOwn = (key: string) => fields.some((set) => Object.hasOwn(set, `f:${key}`));
  return textOf(Object.fromEntries(Object.entries(data).filter(([key]) => isOwn(key))));
}

function textOf(data: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(data).map(([key, value]) => [key, Buffer.from(value, "base64").toString()]));
}

function countOf(value: string | undefined): number {
  return Number(form.exec(value ?? "")?.[2] ?? 0);
}

function presentValue({ aws }: Tenants, name: string): string | undefined {
  const stored = aws.parameters.get(name);
  return stored?.versions.get(stored.latest)?.value;
}
