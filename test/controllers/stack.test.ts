import { expect, it } from "vitest";
import type { AWSConnection, SyncedSecretSpec } from "../../src/api/types.ts";
import { awsConnections, type KubeObject } from "../../src/kube/resource.ts";
import { createStack, type Stack } from "../cloudformation/stack.ts";
import { sharedCluster } from "../cluster/shared.ts";
import { allows } from "../emulator/policy.ts";
import { refused } from "./trials.ts";
import { makeWorld } from "./world.ts";

const cluster = await sharedCluster();
const world = await makeWorld(cluster, "stack", { clusterName: "prod" });
const { aws, namespace } = world;
const user = "arn:aws:iam::123456789012:user/AKIAKEYFERRYTEST";

/** Makes the emulator allow only the stack role's permissions, and its caller's way to it. */
function enforce({ outputs, policies }: Stack): void {
  const session = outputs.RoleArn!.replace(":iam:", ":sts:").replace(":role/", ":assumed-role/");
  const Statement = Object.values(policies).flatMap((policy) => policy.Statement);
  aws.allowOnly((request) => {
    if (request.principal === user) return request.action === "sts:AssumeRole";
    const isRole = request.principal.startsWith(`${session}/`);
    return isRole && allows({ Version: "2012-10-17", Statement }, request);
  });
}

async function conditionOf(type: string): Promise<string | undefined> {
  const found = await world.client.get<AWSConnection & KubeObject>(awsConnections, namespace, "stack");
  return found.status?.conditions?.find((one) => one.type === type)?.status;
}

it("a stack creates all that an AWSConnection needs: role, key and queue", { timeout: 120_000 }, async () => {
  const key = await aws.createKey();
  const stack = await createStack(aws.url, "keyferry.yaml", {
    ClusterName: "prod",
    OidcProvider: "oidc.eks.eu-west-1.amazonaws.com/id/EXAMPLE",
    ParameterPrefixes: "/shop",
    KeyArns: key,
    Describe: "true",
  });
  const { RoleArn, QueueUrl } = stack.outputs;
  // Instead of the ServiceAccount, for which there is no token here.
  aws.role(RoleArn!, { trusts: [user] });
  enforce(stack);

  const secure = { type: "SecureString", keyId: key } as const;
  await aws.putParameter({ name: "/shop/db", value: "1", ...secure });
  await aws.putParameter({ name: "/stock/db", value: "1", ...secure });
  const ciphertext = await aws.encrypt({ keyId: key, plaintext: "a blob" });
  const connectionRef = { kind: "AWSConnection", name: "stack" } as const;
  const parameter = (name: string): SyncedSecretSpec => ({ connectionRef, data: [{ key: "DB", parameter: { name } }] });
  const connection = {
    apiVersion: "keyferry.io/v1alpha1",
    kind: "AWSConnection",
    metadata: { name: "stack", namespace },
    spec: {
      region: "eu-west-1",
      auth: { secretRef: { name: "aws-credentials" }, assumeRole: [{ roleArn: RoleArn }] },
      allow: { parameters: ["/*"], keyIds: [key] },
      events: { queueUrl: QueueUrl },
    },
  };
  await world.atTheEmulator(async () => {
    await world.kubectl(["apply", "-f", "-"], JSON.stringify(connection));
    const shop = parameter("/shop/db");
    await world.apply("shop", { ...shop, data: [...shop.data!, { key: "B", kms: { ciphertext, keyId: key } }] });
    await world.apply("stock", parameter("/stock/db"));
    await world.sync();
    expect(await world.data("shop")).toEqual({ DB: "1", B: "a blob" });
    // The role may not have what the stack does not name.
    await refused(world, "stock", "AccessDenied", ["/stock/db"]);

    world.engine.events.begin();
    const synced = async <T>(get: () => Promise<T>) => {
      await world.sync();
      return get();
    };
    await expect.poll(() => synced(() => conditionOf("EventsReady")), { timeout: 20_000 }).toBe("True");
    aws.eventsTo(QueueUrl!);
    // The clock does not move: changes arrive by the queue.
    await aws.putParameter({ name: "/shop/db", value: "2", ...secure });
    await aws.flushEvents();
    await expect.poll(() => synced(() => world.data("shop")), { timeout: 20_000 }).toEqual({ DB: "2", B: "a blob" });
  });
  expect(await conditionOf("Ready")).toBe("True");
});
