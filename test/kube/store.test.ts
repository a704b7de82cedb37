import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Caches } from "../../src/kube/caches.ts";
import { Reflector } from "../../src/kube/reflector.ts";
import type { KubeObject } from "../../src/kube/resource.ts";
import { type Change, Store } from "../../src/kube/store.ts";
import { Metrics } from "../../src/metrics/metrics.ts";
import { silent } from "../../src/runtime/log.ts";
import { FakeClock } from "../support/clock.ts";
import { widget, widgets } from "../support/widgets.ts";

const told = (changes: Change<KubeObject>[]) =>
  changes.map(({ key, before, after }) => `${key} ${before?.metadata.uid ?? "-"}→${after?.metadata.uid ?? "-"}`);

describe("a store", () => {
  test("says what a put adds, changes and leaves as it was", () => {
    const store = new Store();
    expect(told(store.put(widget("a", { resourceVersion: "1" })))).toEqual(["shop/a -→uid-a"]);
    expect(told(store.put(widget("a", { resourceVersion: "2" })))).toEqual(["shop/a uid-a→uid-a"]);
    expect(store.put(widget("a", { resourceVersion: "2" }))).toEqual([]);
    expect(store.size).toBe(1);
  });

  test("takes the same name with another uid for a deletion and then an addition", () => {
    const store = new Store();
    store.put(widget("a", { uid: "old" }));
    expect(told(store.put(widget("a", { uid: "new" })))).toEqual(["shop/a old→-", "shop/a -→new"]);
    store.replace([widget("a", { uid: "old" })]);
    expect(told(store.replace([widget("a", { uid: "newest" })]))).toEqual(["shop/a old→-", "shop/a -→newest"]);
  });

  test("keeps the new object when the deletion of the old one of its name comes late", () => {
    const store = new Store();
    store.put(widget("a", { uid: "new" }));
    expect(store.remove(widget("a", { uid: "old" }))).toEqual([]);
    expect(store.has("shop/a")).toBe(true);
    expect(told(store.remove(widget("a", { uid: "new", resourceVersion: "9" })))).toEqual(["shop/a new→-"]);
    expect(store.remove(widget("a", { uid: "new" }))).toEqual([]);
  });

  test("keeps names like those of Object's prototype apart", () => {
    const store = new Store();
    for (const name of ["__proto__", "constructor", "toString"]) {
      expect(store.get(`shop/${name}`)).toBeUndefined();
      expect(store.has(name)).toBe(false);
      store.put(widget(name));
      expect(store.get(`shop/${name}`)?.metadata.name).toBe(name);
    }
  });

  test("keys an object without a namespace by its name alone", () => {
    const store = new Store();
    store.put({ metadata: { name: "default", uid: "u", resourceVersion: "1" } });
    expect([...store.keys()]).toEqual(["default"]);
  });

  test("replaces its whole content, and its changes lead from the old one to the new one", () => {
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
  test("read as one, and are synced when all are", () => {
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
