import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { SyncedSecret } from "../../src/api/types.ts";
import { secretBound, syncedSecretBound } from "../../src/controllers/cache-bounds.ts";
import { isCut } from "../../src/kube/informer/cache-bound.ts";
import { Store } from "../../src/kube/informer/store.ts";
import type { KubeObject } from "../../src/kube/resource.ts";
import { sharedCluster } from "../cluster/shared.ts";
import { heldBytes } from "../support/heap.ts";
import { makeWorld } from "./world.ts";

const mebibyte = 2 ** 20;
const metadata = (namespace: string, at: number, version = 1) => ({
  name: `s-${at}`,
  namespace,
  uid: `uid-${namespace}-${at}`,
  resourceVersion: `${version}`,
});
const large = (namespace: string, at: number) =>
  JSON.parse(
    JSON.stringify({
      metadata: metadata(namespace, at),
      spec: { data: [{ key: "A", kms: { ciphertext: String(at).padEnd(mebibyte, "x") } }], target: { name: "t" } },
      status: { observedGeneration: 1, sources: [{ name: "/x", version: 1 }] },
    }),
  ) as SyncedSecret & KubeObject;

describe("the cache bound of a namespace", () => {
  it("reduces a SyncedSecret above the bound to name, uid, version and target, and leaves other namespaces whole", async () => {
    const before = await heldBytes();
    const store = new Store(syncedSecretBound);
    for (let at = 0; at < 60; at++) store.put(large("hostile", at));
    store.put(large("neighbour", 0));
    expect((await heldBytes()) - before).toBeLessThan(20 * mebibyte);
    const cut = store.get("hostile/s-59")!;
    expect(isCut(cut)).toBe(true);
    expect(cut).toMatchObject({ metadata: metadata("hostile", 59), spec: { target: { name: "t" } } });
    expect(isCut(store.get("neighbour/s-0"))).toBe(false);
    for (let at = 0; at < 60; at++) store.remove(large("hostile", at));
    store.put(large("hostile", 59));
    expect(isCut(store.get("hostile/s-59"))).toBe(false);
  });

  it("counts correctly through additions, changes and deletions", () => {
    const step = fc.record({ at: fc.nat(5), size: fc.nat(400), what: fc.constantFrom("put", "remove", "replace") });
    const object = (at: number, size: number, version: number): KubeObject => ({
      metadata: { ...metadata("a", at, version), annotations: { text: "x".repeat(size) } },
    });
    const texts = (object: KubeObject) => object.metadata.annotations?.text?.length ?? 0;
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const store = new Store<KubeObject>({ ...secretBound, bytesPerNamespace: 1_500 });
        for (const [version, { at, size, what }] of steps.entries()) {
          if (what === "put") store.put(object(at, size, version));
          else if (what === "remove") store.remove(object(at, size, version));
          else store.replace([object(at, size, version), object(5 - at, size, version)]);
          expect([...store.values()].reduce((sum, one) => sum + texts(one), 0)).toBeLessThan(1_500);
        }
        for (const one of [...store.values()]) store.remove(one);
        store.put(object(0, 1_000, 99));
        expect(isCut(store.get("a/s-0"))).toBe(false);
      }),
    );
  });
});

it("reads SyncedSecrets and Secrets live when the cache has no room for them, and keeps them like others", async () => {
  const cluster = await sharedCluster();
  const world = await makeWorld(cluster, "bounds");
  world.bytesPerNamespace = 10;
  await world.restart();
  await world.aws.putParameter({ name: "/a", value: "a" });
  await world.apply("one", { data: [{ key: "A", parameter: { name: "/a" } }], target: { name: "two" } });
  await world.sync();
  expect(await world.data("two")).toEqual({ A: "a" });
  expect(await world.ready("one")).toMatchObject({ status: "True" });
  await world.restart();
  world.aws.resetCalls();
  await world.sync();
  expect(world.aws.count({ service: "ssm" })).toBe(0);
  await world.kubectl(["patch", "secret", "two", "--type=merge", "-p", '{"data":{"A":"eA=="}}']);
  await world.sync();
  expect(await world.data("two")).toEqual({ A: "a" });
  await world.aws.putParameter({ name: "/a", value: "newer", overwrite: true });
  await world.pass(600_000, 2);
  expect(await world.data("two")).toEqual({ A: "newer" });
});
