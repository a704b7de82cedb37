import { readFile } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { listAll } from "../../../src/kube/informer/list.ts";
import type { ListWatch } from "../../../src/kube/informer/list-watch.ts";
import { Reflector, type ReflectorOptions } from "../../../src/kube/informer/reflector.ts";
import { type Change, keyOf } from "../../../src/kube/informer/store.ts";
import type { KubeObject, Resource } from "../../../src/kube/resource.ts";
import { Metrics } from "../../../src/metrics/metrics.ts";
import { systemClock } from "../../../src/runtime/clock.ts";
import { silent } from "../../../src/runtime/log.ts";
import { type Cluster, startCluster } from "../../cluster/cluster.ts";
import type { ClusterHandle } from "../../cluster/handle.ts";
import { sharedCluster } from "../../cluster/shared.ts";
import { clientOf } from "../../support/kube-client.ts";
import { until } from "../../support/scripted-server.ts";

const configMaps: Resource = { group: "", version: "v1", plural: "configmaps", kind: "ConfigMap", namespaced: true };
const secrets: Resource = { ...configMaps, plural: "secrets", kind: "Secret" };

const cluster = await sharedCluster();

async function sourceOf(handle: ClusterHandle): Promise<ListWatch> {
  const ca = await readFile(handle.caFile, "utf8");
  const { client, close } = clientOf(handle.url, { ca, token: () => handle.token });
  onTestFinished(close);
  return client;
}

async function follow(options: Partial<ReflectorOptions<KubeObject>>) {
  const stop = new AbortController();
  const metrics = new Metrics();
  const changes: Change<KubeObject>[] = [];
  const reflector = new Reflector<KubeObject>({
    source: options.source ?? (await sourceOf(cluster)),
    resource: configMaps,
    onChange: (change) => void changes.push(change),
    clock: systemClock,
    random: Math.random,
    metrics,
    log: silent,
    ...options,
  });
  const ended = reflector.run(stop.signal);
  onTestFinished(async () => {
    stop.abort();
    await ended;
  });
  await reflector.synced;
  const has = (name: string) => [...reflector.store.values()].some((object) => object.metadata.name === name);
  const restarts = async () =>
    Object.fromEntries((await metrics.watchRestarts.get()).values.map(({ labels, value }) => [labels.cause, value]));
  return { reflector, changes, has, restarts };
}

/** The state of a replica that applies the reported changes, as `key uid resourceVersion`. */
function replay(changes: Change<KubeObject>[]): string[] {
  const held = new Map<string, KubeObject>();
  for (const { key, before, after } of changes) {
    expect(held.get(key)).toEqual(before);
    if (after) held.set(key, after);
    else held.delete(key);
  }
  return summary(held.values());
}

function summary(objects: Iterable<KubeObject>): string[] {
  return [...objects].map((one) => `${keyOf(one)} ${one.metadata.uid} ${one.metadata.resourceVersion}`).sort();
}

async function held(handle: ClusterHandle, namespace: string): Promise<string[]> {
  const { items } = JSON.parse(await handle.run(["get", "configmaps", "-n", namespace, "-o", "json"]));
  return summary(items);
}

describe("a reflector on a real API server", () => {
  test("has the server's state after creations, changes, deletions and re-creations", async () => {
    const namespace = await cluster.freshNamespace("reflector");
    await cluster.run(["create", "configmap", "before", "-n", namespace]);
    const { reflector, changes, has, restarts } = await follow({ namespace });
    expect(has("before")).toBe(true);
    const uid = reflector.store.get(`${namespace}/before`)!.metadata.uid;
    await cluster.run(["create", "configmap", "after", "-n", namespace]);
    await cluster.run(["label", "configmap", "after", "colour=green", "-n", namespace]);
    await cluster.run(["delete", "configmap", "before", "-n", namespace]);
    await cluster.run(["create", "configmap", "before", "-n", namespace, "--from-literal=ship=🚢"]);
    await cluster.run(["create", "configmap", "last", "-n", namespace]);
    await until(() => has("last"));
    expect(reflector.store.get(`${namespace}/before`)!.metadata.uid).not.toBe(uid);
    expect(summary(reflector.store.values())).toEqual(await held(cluster, namespace));
    expect(replay(changes)).toEqual(await held(cluster, namespace));
    expect(await restarts()).toEqual({});
  });

  test("of metadata only keeps a Secret's managedFields and not its data", async () => {
    const namespace = await cluster.freshNamespace("reflector");
    const make = (name: string) =>
      cluster.run(["create", "secret", "generic", name, "-n", namespace, "--from-literal=password=hunter2"]);
    await make("before");
    const { reflector, has } = await follow({ namespace, resource: secrets, metadataOnly: true });
    await make("after");
    await until(() => has("after"));
    for (const object of reflector.store.values()) {
      expect(Object.keys(object).sort()).toEqual(["apiVersion", "kind", "metadata"]);
      expect(JSON.stringify(object)).toContain("f:password");
    }
    expect(reflector.skipped).toEqual({
      "bad-line": 0,
      "bad-object": 0,
      "too-long": 0,
      "unknown-type": 0,
      "wrong-kind": 0,
    });
  });

  test("sees only selected objects, and a lost label as a deletion", async () => {
    const namespace = await cluster.freshNamespace("reflector");
    const { changes, has } = await follow({ namespace, labelSelector: "mine=yes" });
    for (const name of ["other", "one"]) await cluster.run(["create", "configmap", name, "-n", namespace]);
    await cluster.run(["label", "configmap", "one", "mine=yes", "-n", namespace]);
    await until(() => has("one"));
    expect(has("other")).toBe(false);
    await cluster.run(["label", "configmap", "one", "mine-", "-n", namespace]);
    await until(() => !has("one"));
    expect(changes.map(({ before, after }) => [!!before, !!after])).toEqual([
      [false, true],
      [true, false],
    ]);
  });

  test("requests the newest state if the server has not reached its resourceVersion", async () => {
    const namespace = await cluster.freshNamespace("reflector");
    const real = await sourceOf(cluster);
    const lists: (string | undefined)[] = [];
    const source: ListWatch = {
      list(resource, options) {
        lists.push(options.resourceVersion);
        return real.list(resource, { ...options, ...(options.resourceVersion && { resourceVersion: "999999999999" }) });
      },
      watch: (resource, options) => real.watch(resource, options),
    };
    const { reflector } = await follow({ namespace, source });
    expect(lists).toEqual(["0", undefined]);
    expect(reflector.hasSynced).toBe(true);
  });

  test("lists several pages completely", async () => {
    const namespace = await cluster.freshNamespace("reflector");
    const items = Array.from({ length: 620 }, (_, i) => ({
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: { name: `c${i}`, namespace },
    }));
    const list = JSON.stringify({ apiVersion: "v1", kind: "List", items });
    await cluster.run(["create", "-f", "-", "-n", namespace], list);
    const source = await sourceOf(cluster);
    let pages = 0;
    const all = await listAll(
      (request) => {
        pages++;
        return source.list<KubeObject>(configMaps, { namespace, ...request });
      },
      "",
      (item) => item,
    );
    expect(pages).toBe(2);
    expect(summary(all.items)).toEqual(await held(cluster, namespace));
  }, 60_000);
});

describe("a reflector on an API server that is killed and restarted", () => {
  let own: Cluster;
  beforeAll(async () => {
    own = await startCluster();
  });
  afterAll(() => own?.stop());

  test("continues without missing a change", async () => {
    const namespace = await own.freshNamespace("reflector");
    await own.run(["create", "configmap", "before", "-n", namespace]);
    const { reflector, changes, has } = await follow({ namespace, source: await sourceOf(own) });
    await own.stopApiServer();
    await own.startApiServer();
    await own.run(["delete", "configmap", "before", "-n", namespace]);
    await own.run(["create", "configmap", "after", "-n", namespace]);
    const end = performance.now() + 60_000;
    while (!has("after") && performance.now() < end) await new Promise((resolve) => setTimeout(resolve, 50));
    expect(summary(reflector.store.values())).toEqual(await held(own, namespace));
    expect(replay(changes)).toEqual(await held(own, namespace));
  }, 120_000);

  test("lists after a 410 if its resourceVersion is from before the restart", async () => {
    const namespace = await own.freshNamespace("reflector");
    const real = await sourceOf(own);
    let watches = 0;
    const lists: (string | undefined)[] = [];
    const source: ListWatch = {
      list(resource, options) {
        lists.push(options.resourceVersion);
        return real.list(resource, options);
      },
      async watch(resource, options) {
        if (watches++ > 0) return real.watch(resource, options);
        await own.run(["create", "configmap", "meanwhile", "-n", namespace]);
        return real.watch(resource, { ...options, resourceVersion: "1" });
      },
    };
    const { has, restarts } = await follow({ namespace, source });
    await until(() => has("meanwhile"));
    expect(await restarts()).toEqual({ gone: 1 });
    expect(lists[0]).toBe("0");
    expect(Number(lists[1])).toBeGreaterThan(1);
  });
});
