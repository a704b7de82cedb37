import { afterAll, describe, expect, it } from "vitest";
import type { KubeClient } from "../../src/kube/client/client.ts";
import type { KubeError } from "../../src/kube/errors.ts";
import { type KubeObject, secrets } from "../../src/kube/resource.ts";
import { ownedBy } from "../../src/kube/write/managed-fields.ts";
import {
  applySecret,
  deleteSecret,
  type Expected,
  removeFields,
  type SecretIntent,
  type Written,
} from "../../src/kube/write/secret.ts";
import { sharedCluster } from "../cluster/shared.ts";
import { connect } from "../kube/client/connect.ts";
import { FakeApiServer } from "./api-server.ts";

const cluster = await sharedCluster();
const { client: real, connection } = connect(cluster);
afterAll(() => connection.close());

/** Either of the two servers: the operator's requests, and the edits of others. */
interface Server {
  client: KubeClient;
  /** Sets one key of a Secret as `kubectl edit` does; undefined removes it. */
  edit(namespace: string, name: string, key: string, value: string | undefined): Promise<void>;
}

const servers: Record<string, Server> = {
  real: {
    client: real,
    async edit(namespace, name, key, value) {
      const data = { [key]: value === undefined ? null : base64(value) };
      await real.mergePatch(secrets, { namespace, name }, { data }, { fieldManager: "kubectl-edit" });
    },
  },
  fake: fakeServer(),
};

function fakeServer(): Server {
  const client = new FakeApiServer(() => Date.now());
  return {
    client,
    edit: async (namespace, name, key, value) =>
      client.edit(namespace, name, { [`data/${key}`]: value === undefined ? "" : base64(value) }),
  };
}

const base64 = (text: string) => Buffer.from(text).toString("base64");

function intent(namespace: string, data: Record<string, string>): SecretIntent {
  const encoded = Object.fromEntries(Object.entries(data).map(([key, text]) => [key, base64(text)]));
  const metadata = { namespace, name: "checkout", annotations: { "keyferry.io/revision": "1" } };
  return { apiVersion: "v1", kind: "Secret", metadata, type: "Opaque", data: encoded };
}

/** The visible state of the Secret: owners and data. Versions and uids differ between the servers. */
async function seen({ client }: Server, namespace: string) {
  const found = await client
    .get<KubeObject & { data?: object; type?: string }>(secrets, namespace, "checkout")
    .catch((error: KubeError) => error.kind);
  if (typeof found === "string") return found;
  const { annotations, labels, managedFields } = found.metadata;
  const owners = ["keyferry", "another", "kubectl-edit"].map((manager) => [
    manager,
    ownedBy(managedFields, manager, manager === "kubectl-edit" ? "Update" : "Apply"),
  ]);
  return { data: found.data ?? {}, type: found.type, annotations: annotations ?? {}, labels: labels ?? {}, owners };
}

/** One request, and the outcome to compare. */
type Request = (server: Server, namespace: string, last: Written | undefined) => Promise<Written | string | undefined>;

function apply(
  data: Record<string, string>,
  on: "absent" | "last" | "stale" | "other uid",
  manager = "keyferry",
): Request {
  return async ({ client }, namespace, last) => {
    const expect: Expected =
      on === "absent" || !last
        ? { state: "absent" }
        : {
            state: "present",
            uid: on === "other uid" ? "6b29fc40-ca47-1067-b31d-00dd010662da" : last.uid,
            resourceVersion: on === "stale" ? "2" : last.resourceVersion,
          };
    const force = manager === "keyferry";
    const result = await applySecret(client, { object: intent(namespace, data), expect, fieldManager: manager, force });
    return result.outcome === "written" ? result : result.outcome;
  };
}

/** An apply without a precondition, as a person makes it. */
function applyAs(manager: string, data: Record<string, string>, force: boolean): Request {
  return async ({ client }, namespace) => {
    try {
      const { metadata } = await client.apply<KubeObject>(secrets, intent(namespace, data), {
        fieldManager: manager,
        force,
      });
      const { uid = "", resourceVersion = "", managedFields = [] } = metadata;
      return { outcome: "written", uid, resourceVersion, managedFields, metadata };
    } catch (error) {
      return (error as KubeError).kind;
    }
  };
}

const edit =
  (key: string, value: string | undefined): Request =>
  async (server, namespace) =>
    void (await server.edit(namespace, "checkout", key, value));

const remove =
  (on: "last" | "stale"): Request =>
  async ({ client }, namespace, last) => {
    const version = { uid: last!.uid, resourceVersion: on === "stale" ? "2" : last!.resourceVersion };
    return (await deleteSecret(client, namespace, "checkout", version)).outcome;
  };

const sweep =
  (manager: string): Request =>
  async ({ client }, namespace, last) => {
    const result = await removeFields(client, { namespace, name: "checkout" }, last!, manager);
    return result.outcome === "written" ? result : result.outcome;
  };

const sequences: [string, Request[]][] = [
  [
    "a create, an update, the same again",
    [apply({ a: "1", b: "2" }, "absent"), apply({ a: "1", b: "3" }, "last"), apply({ a: "1", b: "3" }, "last")],
  ],
  ["a create of an existing Secret", [apply({ a: "1" }, "absent"), apply({ a: "2" }, "absent")]],
  ["an update of an old version", [apply({ a: "1" }, "absent"), apply({ a: "2" }, "stale")]],
  ["an update of another uid", [apply({ a: "1" }, "absent"), apply({ a: "2" }, "other uid")]],
  ["a dropped key", [apply({ a: "1", b: "2" }, "absent"), apply({ a: "1" }, "last")]],
  [
    "a repaired edit",
    [apply({ a: "1", b: "2" }, "absent"), edit("a", "x"), applyAs("keyferry", { a: "1", b: "2" }, true)],
  ],
  ["an edit to the same value", [apply({ a: "1" }, "absent"), edit("a", "1")]],
  [
    "a foreign added key, and a removed key",
    [apply({ a: "1", b: "2" }, "absent"), edit("c", "3"), edit("b", undefined)],
  ],
  [
    "a repaired removal of a key",
    [apply({ a: "1", b: "2" }, "absent"), edit("b", undefined), applyAs("keyferry", { a: "1", b: "2" }, true)],
  ],
  [
    "a foreign key that a later apply includes",
    [apply({ a: "1" }, "absent"), edit("c", "3"), applyAs("keyferry", { a: "1", c: "4" }, true)],
  ],
  [
    "another applier with the same value, which later drops it",
    [apply({ a: "1" }, "absent"), applyAs("another", { a: "1" }, false), applyAs("keyferry", {}, true)],
  ],
  [
    "another applier with another value, without force",
    [apply({ a: "1" }, "absent"), applyAs("another", { a: "2" }, false)],
  ],
  [
    "another applier with another value, with force",
    [apply({ a: "1", b: "2" }, "absent"), applyAs("another", { a: "2" }, true)],
  ],
  [
    "a forged apply with the same field manager",
    [apply({ a: "1", b: "2" }, "absent"), applyAs("keyferry", { a: "x" }, true)],
  ],
  [
    "a removal of the fields of one of two appliers",
    [apply({ a: "1" }, "absent"), applyAs("another", { a: "1", b: "2" }, false), sweep("another")],
  ],
  [
    "a delete of an old version, and of the current one",
    [apply({ a: "1" }, "absent"), remove("stale"), remove("last")],
  ],
  ["an update of a deleted Secret", [apply({ a: "1" }, "absent"), remove("last"), apply({ a: "2" }, "last")]],
];

describe("the in-memory API server answers like the real one to", () => {
  it.each(sequences)("%s", async (_, requests) => {
    const namespace = await cluster.freshNamespace("conformance");
    const told = await Promise.all(Object.values(servers).map((server) => run(server, namespace, requests)));
    expect(told[1]).toEqual(told[0]);
  });
});

/** Makes the requests in sequence. @returns each outcome, and the state after it */
async function run(server: Server, namespace: string, requests: readonly Request[]) {
  const told: unknown[] = [];
  let last: Written | undefined;
  for (const request of requests) {
    const before = last?.resourceVersion;
    const result = await request(server, namespace, last).catch((error: KubeError) => error.kind);
    if (typeof result === "object") last = result;
    const isChanged = typeof result === "object" && result.resourceVersion !== before;
    told.push({
      result: typeof result === "object" ? result.outcome : result,
      isChanged,
      seen: await seen(server, namespace),
    });
  }
  return told;
}
