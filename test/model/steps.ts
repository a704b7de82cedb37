import fc from "fast-check";
import type { SyncedSecretSpec } from "../../src/api/types.ts";
import { everyName } from "./oracle.ts";
import { allowed, type Fault, type Resource, type Tenants } from "./tenants.ts";

/** One step of a schedule. */
export type Step =
  | { kind: "put" | "delete"; name: string }
  | { kind: "forge"; key: string; how: Forgery }
  | { kind: "spec"; key: string; whenMissing: WhenMissing; source: string; optional: boolean }
  | { kind: "suspend" | "recreate" | "remove"; key: string }
  | { kind: "edit"; key: string; how: "value" | "label" | "deleted" }
  | { kind: "stop" | "start" }
  | { kind: "allow"; parameters: readonly string[] }
  | { kind: "fault"; fault: Fault }
  /** Only the wall clock jumps. */
  | { kind: "jump"; ms: number }
  | { kind: "pass"; ms: number };

type WhenMissing = "Retain" | "DeleteKeys" | "DeleteSecret";
type Forgery = (typeof forgeries)[number];

const minute = 60_000;
const keys = ["a/one", "a/path", "b/one", "b/optional"];
const forgeries = [
  "empty",
  "future",
  "older",
  "left out",
  "other sources",
  "expired",
  "not ready",
  "no secret",
  "revision of another",
] as const;

const name = fc.constantFrom(...everyName);
const key = fc.constantFrom(...keys);

/** Any step. */
export const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ kind: fc.constantFrom("put" as const, "delete" as const), name }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("forge" as const), key, how: fc.constantFrom(...forgeries) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("spec" as const),
      key,
      whenMissing: fc.constantFrom("Retain" as const, "DeleteKeys" as const, "DeleteSecret" as const),
      source: fc.constantFrom("/shared/x", "/shared/z"),
      optional: fc.boolean(),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constantFrom("suspend" as const, "recreate" as const, "remove" as const), key }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("edit" as const),
      key,
      how: fc.constantFrom("value" as const, "label" as const, "deleted" as const),
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constantFrom("stop" as const, "start" as const, "start" as const) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("allow" as const),
      parameters: fc.constantFrom(allowed, ["/{namespace}/*"], ["/a/*", "/shared/*"], ["/shared/*"]),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("fault" as const),
      fault: fc.constantFrom("none" as const, "throttled" as const, "unreachable" as const),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("jump" as const),
      ms: fc.constantFrom(10 * minute, -10 * minute, 1_440 * minute, -1_440 * minute),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constant("pass" as const), ms: fc.constantFrom(2_000, 40_000, minute + 5_000) }),
  },
);

/** Puts the next value of a parameter: its name, and the number of puts so far. */
export class Puts {
  #count = 0;

  next(tenants: Tenants, parameter: string): void {
    this.#count += 1;
    tenants.puts = this.#count;
    tenants.aws.put(parameter, `${parameter}#${this.#count}`);
  }
}

/** A SyncedSecret's initial spec, and its changed spec. */
function specOf(
  resource: string,
  { whenMissing, source, optional }: { whenMissing: WhenMissing; source: string; optional: boolean },
): SyncedSecretSpec {
  const refresh = { whenMissing };
  if (resource === "a/path")
    return { dataFrom: [{ path: { name: "/a/" }, rename: { stripPrefix: "/a/" }, allowEmpty: true }], refresh };
  const own = resource.startsWith("a/") ? "/a/y" : "/b/z";
  return {
    data: [
      { key: "X", parameter: { name: source }, ...(optional ? { optional } : {}) },
      { key: "OWN", parameter: { name: own } },
    ],
    refresh,
  };
}

/** Brings two tenants to the start of a schedule: every SyncedSecret is synced. */
export async function begin(tenants: Tenants, puts: Puts): Promise<void> {
  for (const one of everyName.slice(1)) puts.next(tenants, one);
  for (const resource of keys) {
    const [namespace = "", own = ""] = resource.split("/");
    const spec = specOf(resource, {
      whenMissing: resource === "b/one" ? "DeleteSecret" : "Retain",
      source: resource === "b/one" ? "/shared/z" : "/shared/x",
      optional: resource === "b/optional",
    });
    tenants.apply(namespace, own, spec);
  }
  await tenants.start();
}

/** Runs one step. */
export async function take(tenants: Tenants, puts: Puts, one: Step): Promise<void> {
  const { aws, api, clock } = tenants;
  switch (one.kind) {
    case "put":
      puts.next(tenants, one.name);
      break;
    case "delete":
      aws.delete(one.name);
      break;
    case "forge":
      forge(tenants, one.key, one.how);
      break;
    case "spec":
      if (tenants.resource(one.key)) apply(tenants, one.key, specOf(one.key, one));
      break;
    case "suspend": {
      const spec = tenants.resource(one.key)?.spec;
      if (spec) apply(tenants, one.key, { ...spec, suspend: !spec.suspend });
      break;
    }
    case "recreate":
    case "remove": {
      const resource = tenants.resource(one.key);
      if (!resource) break;
      const [namespace = "", own = ""] = one.key.split("/");
      api.remove("syncedsecrets", namespace, own);
      await tenants.sync();
      api.collectGarbage();
      if (one.kind === "recreate") apply(tenants, one.key, resource.spec);
      break;
    }
    case "edit":
      // An edit within seconds of our apply cannot be distinguished from an apply with our field manager, and counts as
      // one.
      for (let before = -1; before !== tenants.oracle.writes; ) {
        before = tenants.oracle.writes;
        await tenants.pass(6_000, 6_000);
      }
      edit(tenants, one.key, one.how);
      break;
    case "stop":
      tenants.stop();
      break;
    case "start":
      await tenants.start();
      break;
    case "allow":
      tenants.allow(one.parameters);
      break;
    case "fault":
      tenants.fault = one.fault;
      break;
    case "jump":
      clock.setAhead(one.ms);
      break;
    case "pass":
      await tenants.pass(one.ms);
      break;
  }
  await tenants.sync();
}

/** Ends all faults, and advances until everything should have converged. */
export async function end(tenants: Tenants): Promise<void> {
  tenants.fault = "none";
  for (const resource of tenants.api.objects("syncedsecrets") as Resource[]) {
    const { namespace, name: own } = resource.metadata;
    if (resource.spec.suspend) tenants.apply(namespace!, own!, { ...resource.spec, suspend: false });
  }
  if (!tenants.isRunning) await tenants.start();
  await tenants.sync();
  await tenants.pass(5 * minute, minute);
}

function apply(tenants: Tenants, resource: string, spec: SyncedSecretSpec): void {
  const [namespace = "", own = ""] = resource.split("/");
  tenants.apply(namespace, own, spec);
}

function edit({ api, oracle }: Tenants, resource: string, how: "value" | "label" | "deleted"): void {
  const [namespace = "", own = ""] = resource.split("/");
  if (!api.secret(namespace, own)) return;
  if (how === "value") api.edit(namespace, own, { "data/OWN": Buffer.from("edited").toString("base64") });
  else if (how === "label") api.edit(namespace, own, { "labels/keyferry.io/synced-secret": "" });
  else {
    api.remove("secrets", namespace, own);
    oracle.forget(resource);
  }
}

/** Patches a status as its tenant might. */
function forge({ api }: Tenants, resource: string, how: Forgery): void {
  const status = api.object<Resource>("syncedsecrets", resource)?.status;
  if (!status) return;
  const sources = status.sources ?? [];
  const [first, ...rest] = sources;
  const forged = () => {
    switch (how) {
      case "empty":
        return undefined;
      case "future":
        return {
          ...status,
          sources: sources.map((one) => ({ ...one, version: 999, lastModified: "2099-01-01T00:00:00Z" })),
        };
      case "older":
        return {
          ...status,
          sources: sources.map((one) => ({ ...one, version: 1, lastModified: "2020-01-01T00:00:00Z" })),
        };
      case "left out":
        return { ...status, sources: rest };
      case "other sources":
        return { ...status, sources: everyName.map((one) => ({ ...first, name: one, version: 7 })) };
      case "expired":
        return { ...status, sources: sources.map((one) => ({ ...one, expiresAt: "2025-01-01T00:00:00Z" })) };
      case "not ready":
        return {
          ...status,
          conditions: status.conditions?.map((one) => ({ ...one, status: "False", reason: "SourceGone" })),
        };
      case "no secret": {
        const { secretRef: _, ...others } = status;
        return others;
      }
      case "revision of another":
        return { ...status, revision: api.object<Resource>("syncedsecrets", "b/one")?.status?.revision ?? "1.0.0" };
    }
  };
  api.forge("syncedsecrets", resource, forged());
}
