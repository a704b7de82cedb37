import { describe, expect, it } from "vitest";
import { AuditReader } from "../cluster/audit.ts";
import { sharedCluster } from "../cluster/shared.ts";
import { makeWorld } from "./world.ts";

const cluster = await sharedCluster();
const world = await makeWorld(cluster, "restart");
const { aws } = world;
const minute = 60_000;

const one = (key: string, name: string) => ({ key, parameter: { name } });

describe("a restart", () => {
  it("with nothing changed decrypts nothing, reads nothing at once and writes nothing", async () => {
    for (const name of ["/restart", "/restart/a", "/restart/b", "/env"]) {
      await aws.putParameter({ name, type: "SecureString", value: '{"E":1}' });
    }
    await world.apply("restart", {
      data: [
        one("V", "/restart"),
        { ...one("W", "/restart"), jmesPath: "E" },
        { ...one("NONE", "/none"), optional: true },
        { ...one("DEFAULT", "/nothing"), default: "d" },
        { key: "PINNED", parameter: { name: "/restart", version: 1 } },
      ],
      dataFrom: [{ path: { name: "/restart", exclude: ["b$"] } }, { parameter: { name: "/env" }, format: "JSON" }],
    });
    await world.sync();
    const audit = await AuditReader.from(cluster.auditLogPath);
    await audit.take();
    aws.resetCalls();
    await world.restart();
    await world.sync();
    expect(aws.log().filter(({ service }) => service !== "sts")).toEqual([]);
    await world.pass(6 * minute);
    expect(aws.log().some(({ decrypt }) => decrypt)).toBe(false);
    const writes = (await audit.take()).filter(
      ({ userAgent, verb }) => userAgent.includes(world.namespace) && !["get", "list", "watch"].includes(verb),
    );
    expect(writes.map(({ verb, resource, name }) => `${verb} ${resource} ${name}`)).toEqual([]);
  });

  it("notices what changed meanwhile", async () => {
    await aws.putParameter({ name: "/meanwhile", value: "old" });
    await world.apply("meanwhile", { data: [one("V", "/meanwhile")] });
    await world.sync();
    await aws.putParameter({ name: "/meanwhile", value: "new" });
    await world.restart();
    await world.sync();
    await world.pass(6 * minute);
    expect(await world.data("meanwhile")).toEqual({ V: "new" });
  });
});
