import { afterEach, describe, expect, it } from "vitest";
import { sharedCluster } from "../cluster/shared.ts";
import { pythonEncrypt } from "../emulator/encryption-sdk.ts";
import { until } from "../support/operator.ts";
import { makeWorld } from "./world.ts";

const cluster = await sharedCluster();
const world = await makeWorld(cluster, "refusals");
const { aws, namespace } = world;
const minute = 60_000;

const one = (key: string, name: string) => ({ key, parameter: { name } });
const onSecretsHere = {
  resourceRules: [{ apiGroups: [""], apiVersions: ["v1"], operations: ["CREATE", "UPDATE"], resources: ["secrets"] }],
};
const here = { matchLabels: { "kubernetes.io/metadata.name": namespace } };
const made: [string, string][] = [];

async function make(object: { kind: string; metadata: { name: string } }): Promise<void> {
  made.push([object.kind, object.metadata.name]);
  await world.kubectl(["apply", "-f", "-"], JSON.stringify(object));
}

async function unmake(): Promise<void> {
  for (const [kind, name] of made.splice(0).reverse()) await world.kubectl(["delete", kind, name]);
  await refused(false);
}

/** Waits until the API server applies, or no longer applies, the change: it caches policies and webhooks. */
const refused = (is: boolean) =>
  until(
    async () => {
      const probe = world.kubectl(["create", "secret", "generic", "probe-x", "--dry-run=server"]);
      const isRefused = await probe.then(
        () => false,
        () => true,
      );
      return isRefused === is;
    },
    20_000,
    "the admission chain",
  );

afterEach(unmake);

const admission = { apiVersion: "admissionregistration.k8s.io/v1" };

async function policy(): Promise<void> {
  const metadata = { name: `labels.${namespace}` };
  const validations = [{ expression: "'team' in object.metadata.?labels.orValue({})", message: "CANARY text" }];
  await make({
    ...admission,
    kind: "ValidatingAdmissionPolicy",
    metadata,
    spec: { matchConstraints: onSecretsHere, validations },
  } as never);
  const spec = { policyName: metadata.name, validationActions: ["Deny"], matchResources: { namespaceSelector: here } };
  await make({ ...admission, kind: "ValidatingAdmissionPolicyBinding", metadata, spec } as never);
  await refused(true);
}

describe("a write refused by admission", () => {
  it("names only the admission policy, and is retried soon after the policy is removed", async () => {
    await policy();
    await aws.putParameter({ name: "/vap", value: "v" });
    await world.apply("vap", { data: [one("A", "/vap")] });
    await world.sync();
    const ready = await world.ready("vap");
    expect(ready).toMatchObject({ status: "False", reason: "AccessDenied" });
    expect(ready.message).toContain(`admission policy labels.${namespace} refuses Secret ${namespace}/vap`);
    expect(ready.message).not.toContain("CANARY");
    const { status } = await world.synced("vap");
    expect(status!.conditions!.map(({ type }) => type)).not.toContain("Stalled");
    await world.pass(5 * minute, 5);
    expect(await world.secret("vap")).toBeUndefined();
    await unmake();
    await world.pass(0.6 * minute);
    expect(await world.data("vap")).toEqual({ A: "v" });
    expect(await world.ready("vap")).toMatchObject({ status: "True" });
  });

  it("keeps the last good Secret, and does not report it current while a newer version cannot be written", async () => {
    await aws.putParameter({ name: "/later", value: "old" });
    await world.apply("later", { data: [one("A", "/later")] });
    await world.sync();
    await policy();
    await aws.putParameter({ name: "/later", value: "new", overwrite: true });
    await world.pass(10 * minute, 4);
    expect(await world.data("later")).toEqual({ A: "old" });
    expect(await world.ready("later")).toMatchObject({ status: "False", reason: "AccessDenied" });
  });

  it("is fixed by the required fields in spec.target", async () => {
    await policy();
    await aws.putParameter({ name: "/mended", value: "v" });
    await world.apply("mended", { data: [one("A", "/mended")], target: { labels: { team: "shop" } } });
    await world.sync();
    expect(await world.data("mended")).toEqual({ A: "v" });
  });

  it("names an unreachable webhook", async () => {
    const webhook = {
      name: "hook.example.com",
      sideEffects: "None",
      admissionReviewVersions: ["v1"],
      failurePolicy: "Fail",
      clientConfig: { url: "https://127.0.0.1:1/x" },
      rules: onSecretsHere.resourceRules,
      namespaceSelector: here,
    };
    const kind = "ValidatingWebhookConfiguration";
    await make({ ...admission, kind, metadata: { name: `hook.${namespace}` }, webhooks: [webhook] } as never);
    await refused(true);
    await aws.putParameter({ name: "/hook", value: "v" });
    await world.apply("hook", { data: [one("A", "/hook")] });
    await world.sync();
    const ready = await world.ready("hook");
    expect(ready).toMatchObject({ status: "False", reason: "Unreachable" });
    expect(ready.message).toContain("cannot reach the admission webhook hook.example.com");
    await unmake();
    await world.pass(0.6 * minute);
    expect(await world.data("hook")).toEqual({ A: "v" });
  });

  it("names an exhausted ResourceQuota", async () => {
    const hard = { "count/secrets": "1" };
    await make({ apiVersion: "v1", kind: "ResourceQuota", metadata: { name: "few" }, spec: { hard } } as never);
    // The test cluster runs no quota controller: the usage is set by hand.
    const counted = JSON.stringify({ status: { hard, used: { "count/secrets": "1" } } });
    await world.kubectl(["patch", "quota", "few", "--subresource", "status", "--type", "merge", "-p", counted]);
    await aws.putParameter({ name: "/quota", value: "v" });
    await world.apply("quota", { data: [one("A", "/quota")] });
    await world.sync();
    expect(await world.ready("quota")).toMatchObject({ status: "False", reason: "AccessDenied" });
    expect((await world.ready("quota")).message).toContain("ResourceQuota few leaves no room");
    await unmake();
    await world.pass(0.6 * minute);
    expect(await world.data("quota")).toEqual({ A: "v" });
  });
});

describe("a Secret that is too large for etcd", () => {
  it("is TooLarge, is written once, and is not decrypted again until something changes", async () => {
    const key = await aws.createKey();
    const properties = Array.from({ length: 3_700 }, (_, at) => [String(at).padStart(250, "k"), "v"]);
    const [ciphertext] = await pythonEncrypt(aws.url, [
      { plain: JSON.stringify(Object.fromEntries(properties)), keys: [key] },
    ]);
    const source = { encryptionSDK: { ciphertext: ciphertext!, keyIds: [key] }, format: "JSON" as const };
    await world.makeConnection({ allow: { namespaces: { names: [namespace] }, parameters: ["/*"], keyIds: [key] } });
    await world.kubectl(
      ["apply", "--server-side", "--field-manager", "a-person", "-f", "-"],
      JSON.stringify({
        apiVersion: "keyferry.io/v1alpha1",
        kind: "SyncedSecret",
        metadata: { name: "large" },
        spec: { connectionRef: { kind: "ClusterAWSConnection", name: namespace }, dataFrom: [source] },
      }),
    );
    const decrypts = () => aws.count({ service: "kms", operation: "Decrypt" });
    const before = decrypts();
    await world.sync();
    expect(await world.ready("large")).toMatchObject({ status: "False", reason: "TooLarge" });
    expect((await world.ready("large")).message).toContain("3700 keys, 3700 bytes of values and 925000 bytes of names");
    expect(decrypts() - before).toBe(1);
    await world.pass(60 * minute, 6);
    expect(decrypts() - before).toBe(1);
    await world.apply("large", { data: [one("A", "/later")] });
    await world.sync();
    expect(await world.data("large")).toEqual({ A: "new" });
  }, 60_000);
});
