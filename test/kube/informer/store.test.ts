import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Caches } from "../../../src/kube/informer/caches.ts";
import { Reflector } from "../../../src/kube/informer/reflector.ts";
import { type Change, Store } from "../../../src/kube/informer/store.ts";
import type { KubeObject } from "../../../src/kube/resource.ts";
import { Metrics } from "../../../src/metrics/metrics.ts";
import { silent } from "../../../src/runtime/log.ts";
import { FakeClock } from "../../support/clock.ts";
import { widget, widgets } from "../../support/widgets.ts";

const described = (changes: Change<KubeObject>[]) =>
  changes.map(({ key, before, after }) => `${key} ${before?.metadata.uid ?? "-"}→${after?.metadata.uid ?? "-"}`);

describe("a store", () => {
  test("reports what a put adds, changes and leaves unchanged", () => {
    const store = new Store();
    expect(described(store.put(widget("a", { resourceVersion: "1" })))).toEqual(["shop/a -→uid-a"]);
    expect(described(store.put(widget("a", { resourceVersion: "2" })))).toEqual(["shop/a uid-a→uid-a"]);
    expect(store.put(widget("a", { resourceVersion: "2" }))).toEqual([]);
    expect(store.size).toBe(1);
  });

  test("reports the same name with another uid as a deletion and an addition", () => {
    const store = new Store();
    store.put(widget("a", { uid: "old" }));
    expect(described(store.put(widget("a", { uid: "new" })))).toEqual(["shop/a old→-", "shop/a -→new"]);
    store.replace([widget("a", { uid: "old" })]);
    expect(described(store.replace([widget("a", { uid: "newest" })]))).toEqual(["shop/a old→-", "shop/a -→newest"]);
  });

  test("keeps a re-created object when the deletion of the old one arrives late", () => {
    const store = new Store();
    store.put(widget("a", { uid: "new" }));
    expect(store.remove(widget("a", { uid: "old" }))).toEqual([]);
    expect(store.has("shop/a")).toBe(true);
    expect(described(store.remove(widget("a", { uid: "new", resourceVersion: "9" })))).toEqual(["shop/a new→-"]);
    expect(store.remove(widget("a", { uid: "new" }))).toEqual([]);
  });

  test("supports names of Object.prototype's properties", () => {
    const store = new Store();
    for (const name of ["__proto__", "constructor", "toString"]) {
      expect(store.get(`shop/${name}`)).toBeUndefined();
      expect(store.has(name)).toBe(false);
      store.put(widget(name));
      expect(store.get(`shop/${name}`)?.metadata.name).toBe(name);
    }
  });

  test("uses the name as the key of a cluster-scoped object", () => {
    const store = new Store();
    store.put({ metadata: { name: "default", uid: "u", resourceVersion: "1" } });
    expect([...store.keys()]).toEqual(["default"]);
  });

  test("replaces its content, and reports the changes from the old to the new content", () => {
    const content = fc
      .dictionary(
        fc.constantFrom("a", "b", "c", "d", "e"),
        fc.tuple(fc.constantFrom("1", "2"), fc.constantFrom("1", "2")),
      )
      .map((all) =>
        Object.entries(all).map(([name, [uid, resourceVersion]]) => widget(name, { uid, resourceVersion })),
      );
    fc.assert(
      fc.property(content, content, (old, fresh) => {
        const store = new Store();
        store.replace(old);
        const replica = new Map(old.map((object) => [`shop/${object.metadata.name}`, object]));
        for (const { key, before, after } of store.replace(fresh)) {
          expect(replica.get(key)).toEqual(before);
          if (before && after) expect(after.metadata.uid).toBe(before.metadata.uid);
          if (after) replica.set(key, after);
          else replica.delete(key);
        }
        expect([...replica.values()].sort(byName)).toEqual([...store.values()].sort(byName));
        expect([...store.values()].sort(byName)).toEqual([...fresh].sort(byName));
      }),
    );
  });
});

describe("caches of several namespaces", () => {
  test("are read as one, and have synced when all have", () => {
    const clock = new FakeClock();
    const source = { list: () => new Promise<never>(() => {}), watch: () => new Promise<never>(() => {}) };
    const make = (namespace: string) =>
      new Reflector({
        source,
        resource: widgets,
        namespace,
        onChange() {},
        clock,
        random: () => 0,
        metrics: new Metrics(),
        log: silent,
      });
    const reflectors = [make("a"), make("b")];
    const caches = new Caches(reflectors);
    reflectors[0]!.store.put(widget("x", { namespace: "a" }));
    reflectors[1]!.store.put(widget("y", { namespace: "b" }));
    expect([...caches.keys()]).toEqual(["a/x", "b/y"]);
    expect([...caches.values()].map((object) => object.metadata.name)).toEqual(["x", "y"]);
    expect(caches.get("b/y")?.metadata.name).toBe("y");
    expect(caches.has("a/y")).toBe(false);
    expect(caches.size).toBe(2);
    expect(caches.hasSynced).toBe(false);
  });
});

function byName(a: KubeObject, b: KubeObject): number {
  return a.metadata.name! < b.metadata.name! ? -1 : 1;
}
