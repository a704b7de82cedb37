import { afterAll, expect, test } from "vitest";
import { mostWrites } from "../../src/kube/adaptive-limit.ts";
import { type KubeObject, secrets } from "../../src/kube/resource.ts";
import { applySecret } from "../../src/kube/secret.ts";
import { WriteLimiter } from "../../src/kube/write-limiter.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { sharedCluster } from "../cluster/shared.ts";
import { connect } from "./connect.ts";

const cluster = await sharedCluster();
const { client, connection } = connect(cluster);
afterAll(() => connection.close());

test("a person's write overtakes hundreds of the mass in a real API server, and all are written", async () => {
  const namespace = await cluster.freshNamespace("places");
  const places = new WriteLimiter({ clock: systemClock, random: Math.random });
  const ended: string[] = [];
  const write = async (lane: "bulk" | "interactive", name: string) => {
    const object = { apiVersion: "v1", kind: "Secret", metadata: { namespace, name }, data: { a: "MQ==" } };
    const options = { object, expect: { state: "absent" }, fieldManager: "keyferry", force: true } as const;
    const { outcome } = await places.run(lane, namespace, () => applySecret(client, options));
    ended.push(name);
    return outcome;
  };
  const bulk = Array.from({ length: 300 }, (_, i) => write("bulk", `bulk${i}`));
  await bulk[0];
  const at = ended.length;
  expect(await write("interactive", "person")).toBe("written");
  // What was under way when it came may end before it; nothing that waited does, but what its place let in meanwhile.
  expect(ended.indexOf("person") - at).toBeLessThan(2 * mostWrites);
  expect(new Set(await Promise.all(bulk))).toEqual(new Set(["written"]));
  expect((await client.list<KubeObject>(secrets, { namespace })).items).toHaveLength(301);
});
