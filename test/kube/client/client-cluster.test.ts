import { afterAll, describe, expect, onTestFinished, test } from "vitest";
import { Reflector } from "../../../src/kube/informer/reflector.ts";
import { type KubeObject, namespaces, secrets } from "../../../src/kube/resource.ts";
import { Metrics } from "../../../src/metrics/metrics.ts";
import { systemClock } from "../../../src/runtime/clock.ts";
import { silent } from "../../../src/runtime/log.ts";
import { sharedCluster } from "../../cluster/shared.ts";
import { until } from "../../support/scripted-server.ts";
import { connect } from "./connect.ts";

const cluster = await sharedCluster();
const { client, connection, metrics } = connect(cluster);
afterAll(() => connection.close());

const secret = (namespace: string, name: string, data: Record<string, string> = {}): KubeObject & { data: object } => ({
  apiVersion: "v1",
  kind: "Secret",
  metadata: { namespace, name },
  data,
});

const fieldManager = "keyferry";

describe("the client on a real API server", () => {
  test("creates, reads, patches and deletes", async () => {
    const namespace = await cluster.freshNamespace("client");
    const made = await client.create(secrets, secret(namespace, "one", { a: "MQ==" }));
    expect(await client.get(secrets, namespace, "one")).toEqual(made);
    await expect(client.create(secrets, secret(namespace, "one"))).rejects.toMatchObject({ kind: "alreadyExists" });
    const patch = { data: { a: null, b: "Mg==" } };
    expect(await client.mergePatch(secrets, { namespace, name: "one" }, patch)).toMatchObject({ data: { b: "Mg==" } });
    await client.delete(secrets, namespace, "one", { uid: made.metadata.uid! });
    await expect(client.get(secrets, namespace, "one")).rejects.toMatchObject({ kind: "notFound", reason: "NotFound" });
    await expect(client.delete(secrets, namespace, "one")).rejects.toMatchObject({ kind: "notFound" });
  });

  test("persists nothing in a dry run", async () => {
    const namespace = await cluster.freshNamespace("client");
    const answer = await client.apply(secrets, secret(namespace, "one"), { fieldManager, dryRun: true });
    expect(answer.metadata.uid).toBeTypeOf("string");
    await expect(client.get(secrets, namespace, "one")).rejects.toMatchObject({ kind: "notFound" });
  });

  test("applies only the status with the status subresource", async () => {
    const name = await cluster.freshNamespace("client");
    const condition = {
      type: "Tried",
      status: "True",
      reason: "Test",
      message: "x",
      lastTransitionTime: "2026-01-01T00:00:00Z",
    };
    const object = {
      apiVersion: "v1",
      kind: "Namespace",
      metadata: { name, labels: { tried: "yes" } },
      status: { conditions: [condition] },
    };
    const options = { fieldManager, force: true, subresource: "status" } as const;
    const applied = await client.apply<KubeObject & { status: object }>(namespaces, object, options);
    expect(applied.status).toMatchObject({ conditions: [condition] });
    const entry = applied.metadata.managedFields?.find(({ manager }) => manager === fieldManager);
    expect(entry).toMatchObject({ operation: "Apply", subresource: "status" });
    const again = await client.apply<KubeObject>(namespaces, object, { ...options, metadataOnly: true });
    expect(Object.keys(again).sort()).toEqual(["apiVersion", "kind", "metadata"]);
    expect(again.metadata.resourceVersion).toBe(applied.metadata.resourceVersion);
  });

  test("gets no data back from an apply that asks for metadata", async () => {
    const namespace = await cluster.freshNamespace("client");
    const object = secret(namespace, "one", { password: "aHVudGVyMg==" });
    const applied = await client.apply(secrets, object, { fieldManager, metadataOnly: true });
    expect(applied.kind).toBe("PartialObjectMetadata");
    expect(JSON.stringify(applied)).toContain("f:password");
    expect(JSON.stringify(applied)).not.toContain("aHVudGVyMg==");
    expect(await client.get(secrets, namespace, "one")).toMatchObject({ data: { password: "aHVudGVyMg==" } });
  });

  test("lists in pages, and lists metadata without data", async () => {
    const namespace = await cluster.freshNamespace("client");
    for (const name of ["a", "b", "c"])
      await client.create(secrets, secret(namespace, name, { password: "aHVudGVyMg==" }));
    const options = { namespace, metadataOnly: true, limit: 2 };
    const first = await client.list(secrets, options);
    const second = await client.list(secrets, { ...options, continue: first.continue! });
    expect(second.continue).toBeUndefined();
    const all = [...first.items, ...second.items];
    expect(all.map(({ metadata }) => metadata.name)).toEqual(["a", "b", "c"]);
    for (const item of [...all, await client.get(secrets, namespace, "a", { metadataOnly: true })]) {
      expect(Object.keys(item).sort()).toEqual(["apiVersion", "kind", "metadata"]);
      expect(item.kind).toBe("PartialObjectMetadata");
      expect(JSON.stringify(item)).toContain("f:password");
    }
  });

  test("reports invalid fields without quoting values", async () => {
    const namespace = await cluster.freshNamespace("client");
    const canary = "canary 7f3a";
    const call = client.apply(secrets, secret(namespace, "x", { [canary]: "MQ==" }), { fieldManager });
    const error = await call.catch((e) => e);
    expect(error).toMatchObject({
      kind: "invalid",
      causes: [{ reason: "FieldValueInvalid", field: `data[${canary}]` }],
    });
    expect(error.message).toBe(`PATCH secrets ${namespace}/x: 422 Invalid`);
    const large = secret(namespace, "x", { big: Buffer.alloc(2 ** 20 + 1).toString("base64") });
    await expect(client.apply(secrets, large, { fieldManager })).rejects.toMatchObject({
      kind: "invalid",
      causes: [{ field: "data" }],
    });
  });

  test("reports tooLarge for a Secret over the server's request limit", async () => {
    const namespace = await cluster.freshNamespace("client");
    const huge = secret(namespace, "x", { big: Buffer.alloc(4 * 2 ** 20).toString("base64") });
    await expect(client.apply(secrets, huge, { fieldManager })).rejects.toMatchObject({ kind: "tooLarge" });
  });

  test("reports a timeout for a resourceVersion in the future", async () => {
    const early = client.list(secrets, { resourceVersion: "999999999999" });
    await expect(early).rejects.toMatchObject({ kind: "timeout", status: 504, reason: "Timeout" });
  });

  test("feeds a metadata reflector", async () => {
    const namespace = await cluster.freshNamespace("client");
    await client.create(secrets, secret(namespace, "before", { password: "aHVudGVyMg==" }));
    const stop = new AbortController();
    const reflector = new Reflector<KubeObject>({
      source: client,
      resource: secrets,
      namespace,
      metadataOnly: true,
      onChange: () => {},
      clock: systemClock,
      random: Math.random,
      metrics: new Metrics(),
      log: silent,
    });
    const ended = reflector.run(stop.signal);
    onTestFinished(async () => {
      stop.abort();
      await ended;
    });
    await reflector.synced;
    await client.create(secrets, secret(namespace, "after", { password: "aHVudGVyMg==" }));
    await client.delete(secrets, namespace, "before");
    await until(() => reflector.store.has(`${namespace}/after`) && !reflector.store.has(`${namespace}/before`));
    const held = reflector.store.get(`${namespace}/after`)!;
    expect(Object.keys(held).sort()).toEqual(["apiVersion", "kind", "metadata"]);
    expect(Object.values(reflector.skipped).every((count) => count === 0)).toBe(true);
  });

  test("counts requests by verb and status", async () => {
    const { values } = await metrics.kubernetesRequests.get();
    const seen = values.map(({ labels }) => `${labels.verb} ${labels.code}`);
    expect(seen).toEqual(
      expect.arrayContaining(["create 201", "create 409", "get 200", "delete 404", "apply 422", "watch 200"]),
    );
  });
});
