import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { freePort } from "../cluster/ports.ts";
import { type RunningOperator, until } from "../support/operator.ts";
import { type OtlpReceiver, type ReceivedSpan, startOtlpReceiver } from "../support/otlp-receiver.ts";
import { documents, keysOf, openStage, readyCount, type Stage, synced } from "./stage.ts";

/** The built program as its own process sends the traces of its reconciles to a receiver of this test. */

/** Values that must not reach the receiver, in each form that a program may give them. */
const secrets = new Set<string>();
function secret(bytes = 24): string {
  const text = `v"${randomBytes(bytes).toString("base64url")}\\é`;
  secrets.add(text);
  return text;
}
function formsOf(text: string): string[] {
  const bytes = Buffer.from(text);
  const quoted = JSON.stringify(text).slice(1, -1);
  return [text, quoted, JSON.stringify(quoted).slice(1, -1), text.slice(2, 26), bytes.toString("base64")].concat(
    bytes.toString("base64url"),
    bytes.toString("hex"),
    encodeURIComponent(text),
  );
}

let stage: Stage;
let receiver: OtlpReceiver;
let operator: RunningOperator | undefined;
const resources = 20;

beforeAll(async () => {
  [stage, receiver] = await Promise.all([openStage(), startOtlpReceiver()]);
  await stage.connect();
  const accessKey = secret();
  const credentials = { AWS_ACCESS_KEY_ID: "AKIAKEYFERRYTEST", AWS_SECRET_ACCESS_KEY: accessKey };
  await apply([
    { apiVersion: "v1", kind: "Secret", metadata: { name: "aws", namespace: "default" }, stringData: credentials },
  ]);
  await stage.cluster.run(["create", "namespace", "shop"]);
});
afterAll(async () => {
  await operator?.stop();
  await receiver?.close();
  await stage?.close();
});

const apply = (objects: object[]) =>
  stage.cluster.run(["apply", "--server-side", "--force-conflicts", "-f", "-"], documents(objects));
const put = (name: string, value: string) => stage.aws.putParameter({ name, type: "SecureString", value });
const blob = async (keyId: string) => {
  const ciphertext = await stage.aws.encrypt({ keyId, plaintext: secret() });
  secrets.add(ciphertext);
  return { key: "B", kms: { ciphertext, keyId } };
};
/** The spans of the last reconcile of a SyncedSecret with an attribute of this value. */
function traceOf(name: string, reason: string): ReceivedSpan[] {
  const spans = receiver.spans();
  const root = spans.findLast(
    ({ parentSpanId, attributes }) =>
      !parentSpanId && attributes["keyferry.syncedsecret.name"] === name && attributes["keyferry.reason"] === reason,
  );
  return spans.filter(({ traceId }) => traceId === root?.traceId);
}
/** A trace as lines: each step's name below the names of the steps that it is a part of. */
function pathsOf(spans: readonly ReceivedSpan[]): string[] {
  const path = ({ name, parentSpanId }: ReceivedSpan): string => {
    const parent = spans.find(({ spanId }) => spanId === parentSpanId);
    return parent ? `${path(parent)} > ${name}` : name;
  };
  return [...new Set(spans.map(path))].sort();
}

describe("traces", () => {
  it("of one sync have its reads and writes as steps, within the time of their parents", async () => {
    const { aws } = stage;
    const key = await aws.createKey();
    for (const name of ["/shop/a", "/shop/b"]) await put(name, secret());
    await apply([synced("shop", "app", { data: [...keysOf(["/shop/a", "/shop/b"]).data!, await blob(key)] })]);
    operator = await stage.operator(["--otlp-endpoint", receiver.url], {
      env: { OTEL_EXPORTER_OTLP_HEADERS: "x-scope=team-a", OTEL_RESOURCE_ATTRIBUTES: "deployment.environment=test" },
    });
    await until(() => traceOf("app", "Synced").length > 0, 30_000, "the trace");
    const spans = traceOf("app", "Synced");
    expect(pathsOf(spans)).toEqual(
      expect.arrayContaining([
        "reconcile",
        "reconcile > read",
        "reconcile > read > kms Decrypt",
        "reconcile > read > ssm GetParameters",
        "reconcile > write secret",
        "reconcile > write secret > kubernetes write",
        "reconcile > write status",
        "reconcile > write status > kubernetes write",
      ]),
    );
    for (const span of spans) {
      const parent = spans.find(({ spanId }) => spanId === span.parentSpanId);
      if (!parent) continue;
      expect(span.start, span.name).toBeGreaterThanOrEqual(parent.start - 1_000_000n);
      expect(span.end, span.name).toBeLessThanOrEqual(parent.end + 1_000_000n);
    }
    expect(spans.filter(({ isError }) => isError)).toEqual([]);
    const { attributes } = spans.find(({ name }) => name === "reconcile")!;
    expect(attributes).toMatchObject({
      "k8s.namespace.name": "shop",
      "keyferry.outcome": "current",
      "keyferry.secret.name": "app",
      "keyferry.secret.key.count": 3,
      "keyferry.secret.action": "created",
    });
    const [{ path, headers }] = receiver.requests as [(typeof receiver.requests)[0]];
    expect(path).toBe("/v1/traces");
    expect(headers["x-scope"]).toBe("team-a");
    expect(receiver.resources()[0]).toMatchObject({ "service.name": "keyferry", "deployment.environment": "test" });
  });

  it("mark what failed with its reason", async () => {
    const { aws } = stage;
    const denied = await aws.createKey();
    aws.deny({ action: "kms:Decrypt", key: denied });
    await apply([
      synced("shop", "missing", keysOf(["/shop/none"])),
      synced("shop", "denied", { data: [await blob(denied)] }),
    ]);
    const isThere = () => traceOf("missing", "ParameterNotFound").length * traceOf("denied", "AccessDenied").length > 0;
    await until(isThere, 30_000, "both traces");
    const failed = (spans: ReceivedSpan[]) =>
      spans.filter(({ isError }) => isError).map(({ name, attributes }) => `${name}: ${attributes["error.type"]}`);
    expect(failed(traceOf("denied", "AccessDenied"))).toEqual(
      expect.arrayContaining(["kms Decrypt: AccessDenied", "read: AccessDenied", "reconcile: AccessDenied"]),
    );
    expect(failed(traceOf("missing", "ParameterNotFound"))).toContain("reconcile: ParameterNotFound");
  });

  it("hold no value, no ciphertext and no credential, whatever is synced", async () => {
    const { aws } = stage;
    const key = await aws.createKey();
    const objects: object[] = [];
    for (let n = 0; n < resources; n++) {
      const [plain, json, template] = [secret(), secret(), secret()];
      await put(`/fuzz/r${n}/plain`, plain);
      await put(`/fuzz/r${n}/json`, JSON.stringify({ user: { name: json } }));
      await put(`/fuzz/r${n}/broken`, `{"a": ${secret()}`);
      const data = [
        { key: "PLAIN", parameter: { name: `/fuzz/r${n}/plain` } },
        { key: "JSON", parameter: { name: `/fuzz/r${n}/json` }, jmesPath: "user.name" },
        await blob(key),
        ...(n % 3 === 0 ? [{ key: "X", parameter: { name: `/fuzz/r${n}/broken` }, jmesPath: "a" }] : []),
        ...(n % 3 === 1 ? [{ key: "Y", parameter: { name: `/fuzz/r${n}/plain` }, decode: "Base64" as const }] : []),
      ];
      const target = { template: { data: { "app.conf": `${template} {{ PLAIN }}` } } };
      objects.push(synced("shop", `fuzz${n}`, { data, target }));
      objects.push(
        synced("shop", `path${n}`, {
          dataFrom: [{ path: { name: `/fuzz/r${n}/` }, rename: { stripPrefix: `/fuzz/r${n}/` } }],
        }),
      );
    }
    await apply(objects);
    const traced = () =>
      new Set(
        receiver
          .spans()
          .filter(({ parentSpanId }) => !parentSpanId)
          .map(({ attributes }) => attributes["keyferry.reason"] && attributes["keyferry.syncedsecret.name"]),
      );
    const names = numbered(resources, (n) => [`fuzz${n}`, `path${n}`]).flat();
    await until(() => names.every((name) => traced().has(name)), 60_000, "a trace of each");
    const received = receiver.requests.map(({ body, headers }) => body + JSON.stringify(headers)).join("\n");
    expect(secrets.size).toBeGreaterThan(4 * resources);
    expect([...secrets].flatMap(formsOf).filter((form) => received.includes(form))).toEqual([]);
    expect(pathsOf(traceOf("path2", "Synced"))).toContain("reconcile > read > ssm GetParametersByPath");
  });

  it("that wait are sent before a stop ends the process", async () => {
    await put("/shop/a", secret());
    await stage.cluster.run(["annotate", "syncedsecret", "app", "-n", "shop", "keyferry.io/refresh=now"]);
    const writes = () => operator!.metric("keyferry_secret_writes_total", { action: "updated" });
    await until(async () => (await writes()) > 0, 30_000, "the write");
    await operator!.stop();
    expect(await operator!.exited).toBe(0);
    const isUpdate = ({ attributes }: ReceivedSpan) => attributes["keyferry.secret.action"] === "updated";
    expect(receiver.spans().filter(isUpdate)).toHaveLength(1);
  });

  it.each([
    ["hangs", async () => (await startHanging()).url],
    ["is down", async () => `http://127.0.0.1:${await freePort()}`],
  ])("delay neither syncs nor the stop while the receiver %s", async (why, endpoint) => {
    const name = why.replaceAll(" ", "-");
    const namespace = `without-${name}`;
    await stage.cluster.run(["create", "namespace", namespace]);
    await put(`/${name}/a`, secret());
    await apply(numbered(30, (n) => synced(namespace, `r${n}`, keysOf([`/${name}/a`]))));
    operator = await stage.operator(["--otlp-endpoint", await endpoint()]);
    await until(async () => (await readyCount(stage.cluster, namespace)) === 30, 30_000, "the syncs");
    const begun = performance.now();
    await operator.stop();
    expect(await operator.exited).toBe(0);
    expect(performance.now() - begun).toBeLessThan(5_000);
  });
});

const numbered = <T>(count: number, of: (n: number) => T): T[] => Array.from({ length: count }, (_, n) => of(n));

async function startHanging(): Promise<OtlpReceiver> {
  await receiver.close();
  receiver = await startOtlpReceiver();
  receiver.hang();
  return receiver;
}
