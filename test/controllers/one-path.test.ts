import { afterEach, expect, it } from "vitest";
import { EngineRig } from "../support/engine.ts";

const rig = new EngineRig();
afterEach(() => rig.stop());

it("500 SyncedSecrets on one path are written from one listing, without a pause between the first 400 and the last", async () => {
  rig.namespace("shop");
  rig.credentials.set("shop/aws", "AKIASHOP");
  for (let n = 0; n < 100; n++) rig.aws.put(`/app/p${n}`, "value");
  rig.connection(undefined, "c", {
    region: "eu-west-1",
    auth: { secretRef: { name: "aws", namespace: "shop" } },
    allow: { namespaces: { names: ["shop"] }, parameters: ["/*"] },
    limits: { ssmRequestsPerSecond: 10, kmsRequestsPerSecond: 10 },
  });
  // A slow API server, as under this load.
  rig.holdWrite = () => new Promise((resolve) => rig.clock.setTimer(resolve, 200));
  for (let n = 0; n < 500; n++) {
    rig.synced("shop", `s${n}`, {
      connectionRef: { kind: "ClusterAWSConnection", name: "c" },
      dataFrom: [{ path: { name: "/app", recursive: true } }],
    });
  }
  rig.start();
  await rig.pass(20_000);
  const written = rig.writes.filter(({ kind }) => kind === "secret").map(({ at }) => at);
  expect(written).toHaveLength(500);
  expect(rig.aws.count("GetParametersByPath")).toBe(10);
  const gaps = written.map((at, n) => at - (written[n - 1] ?? at));
  expect(Math.max(...gaps)).toBeLessThanOrEqual(1_000);
});
