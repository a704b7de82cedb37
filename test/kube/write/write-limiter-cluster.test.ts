import { afterAll, expect, test } from "vitest";
import { type KubeObject, secrets } from "../../../src/kube/resource.ts";
import { mostWrites } from "../../../src/kube/write/adaptive-limit.ts";
import { applySecret } from "../../../src/kube/write/secret.ts";
import { WriteLimiter } from "../../../src/kube/write/write-limiter.ts";
import { systemClock } from "../../../src/runtime/clock.ts";
import { sharedCluster } from "../../cluster/shared.ts";
import { connect } from "../client/connect.ts";

const cluster = await sharedCluster();
const { client, connection } = connect(cluster);
afterAll(() => connection.close());

test("an interactive write overtakes hundreds of bulk writes on a real API server", async () => {
  const namespace = await cluster.freshNamespace("limiter");
  const limiter = new WriteLimiter({ clock: systemClock, random: Math.random });
  const ended: string[] = [];
  const write = async (lane: "bulk" | "interactive", name: string) => {
    const object = { apiVersion: "v1", kind: "Secret", metadata: { namespace, name }, data: { a: "MQ==" } };
    const options = { object, expect: { state: "absent" }, fieldManager: "keyferry", force: true } as const;
    const { outcome } = await limiter.run(lane, namespace, () => applySecret(client, options));
    ended.push(name);
    return outcome;
  };
  const bulk = Array.from({ length: 300 }, (_, i) => write("bulk", `bulk${i}`));
  await bulk[0];
  const at = ended.length;
  expect(await write("interactive", "person")).toBe("written");
  // Writes that were under way may end before it, and those that began in their slots meanwhile.
  expect(ended.indexOf("person") - at).toBeLessThan(2 * mostWrites);
  expect(new Set(await Promise.all(bulk))).toEqual(new Set(["written"]));
  expect((await client.list<KubeObject>(secrets, { namespace })).items).toHaveLength(301);
});
