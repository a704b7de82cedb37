import { expect, it } from "vitest";
import { sharedCluster } from "../cluster/shared.ts";
import { one } from "./trials.ts";
import { makeWorld } from "./world.ts";

const cluster = await sharedCluster();
const world = await makeWorld(cluster, "large");
const { aws } = world;
const minute = 60_000;

it("fifty paths over the same 4 MB are TooLarge at once, and are not read again while nothing changes", async () => {
  for (let n = 0; n < 1_000; n += 50) {
    const names = Array.from({ length: 50 }, (_, i) => `/a/b/c/d/e/p${n + i}`);
    await Promise.all(names.map((name) => aws.putParameter({ name, value: "x".repeat(4_096), type: "String" })));
  }
  const above = ["/a", "/a/b", "/a/b/c", "/a/b/c/d", "/a/b/c/d/e"];
  const kinds = [
    ["String"],
    ["String", "StringList"],
    ["String", "SecureString"],
    ["String", "StringList", "SecureString"],
  ];
  const paths = above.flatMap((name) => kinds.map((types) => ({ path: { name, recursive: true, types } })));
  const more = above.flatMap((name) => ["x", "y", "z"].map((v) => ({ path: { name, recursive: true, exclude: [v] } })));
  await world.apply("large", {
    dataFrom: [...paths, ...more].map((entry) => ({ ...entry, onConflict: "Override" as const })) as never,
    refresh: { pollInterval: "24h" },
  });
  const decrypting = () => aws.log().filter(({ decrypt }) => decrypt === true).length;
  await world.sync();
  expect((await world.ready("large")).reason).toBe("TooLarge");
  // Four paths at once, 2 MiB of each.
  const first = decrypting();
  expect(first).toBeLessThan(260);
  expect(world.engine.observer.inFlight.used).toBe(0);
  await world.pass(16 * minute, 4);
  expect(decrypting()).toBe(first);
}, 60_000);

it("sources that are too large together are reported, and nothing of them is written", async () => {
  for (let p = 0; p < 3; p++) {
    for (let n = 0; n < 220; n += 55) {
      const names = Array.from({ length: 55 }, (_, i) => `/sum/${p}/p${n + i}`);
      await Promise.all(names.map((name) => aws.putParameter({ name, value: "x".repeat(4_096) })));
    }
  }
  const dataFrom = [0, 1, 2].map((p) => ({ path: { name: `/sum/${p}` }, onConflict: "Override" as const }));
  await world.apply("sum", { dataFrom });
  await world.apply("small", {
    data: [one("V", "/sum/0/p0")],
    dataFrom: [{ path: { name: "/a", recursive: true, include: ["p99[0-9]"] } }],
  });
  await world.sync();
  expect((await world.ready("sum")).reason).toBe("TooLarge");
  expect((await world.ready("sum")).message).toContain("the sources together have over 2097152 bytes");
  expect(await world.secret("sum")).toBeUndefined();
  expect(Object.keys((await world.data("small"))!)).toHaveLength(11);
});
