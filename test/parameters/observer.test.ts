import { beforeEach, describe, expect, it } from "vitest";
import type { Identity } from "../../src/aws/identity.ts";
import { RateLimiters } from "../../src/aws/ratelimit/limiters.ts";
import { QuotaRegistry } from "../../src/aws/ratelimit/quota-registry.ts";
import { Metrics } from "../../src/metrics/metrics.ts";
import { Observer } from "../../src/parameters/observer.ts";
import { PathReader } from "../../src/parameters/read/path-reader.ts";
import { Reader } from "../../src/parameters/read/reader.ts";
import type { ParameterReference, PathReference } from "../../src/parameters/read/reference.ts";
import { Failure } from "../../src/runtime/failure.ts";
import { FakeClock, settle } from "../support/clock.ts";
import { FakeAws } from "../support/fake-aws.ts";

const minute = 60_000;
let clock: FakeClock;
let aws: FakeAws;
let identity: Identity;
let observer: Observer;
let told: string[];

beforeEach(() => {
  clock = new FakeClock();
  aws = new FakeAws(() => clock.now());
  identity = aws.identity();
  told = [];
  const quotas = new QuotaRegistry(clock, { ssm: 10_000, kms: 10_000 });
  const limiters = new RateLimiters({ quotas, clock, metrics: new Metrics() });
  observer = new Observer({
    quotas,
    reader: new Reader(limiters),
    pathReader: new PathReader(limiters),
    limiters,
    clock,
    random: () => 0.5,
    metrics: new Metrics(),
    missingGraceMs: 5 * minute,
    notify: (dependent) => told.push(dependent),
  });
});

const parameter = (name: string, selector = ""): ParameterReference => ({
  kind: "parameter",
  identity,
  name,
  selector,
});
const path = (name: string): PathReference => ({
  kind: "path",
  identity,
  path: name,
  recursive: true,
  label: "",
  types: [],
});
const subscription = (reference: ParameterReference | PathReference, pollIntervalMs = 5 * minute) => ({
  reference,
  pollIntervalMs,
});
const text = (bytes: Uint8Array) => Buffer.from(bytes).toString();

async function textOf(reference: ParameterReference): Promise<string | undefined> {
  const read = await observer.values(reference, "bulk");
  const stamped = read.state === "values" ? read.values.get(reference.name) : undefined;
  return stamped && text(stamped.value.reveal());
}

describe("polls", () => {
  it("cost one call for ten parameters each interval, without decryption, and notify nobody without a change", async () => {
    for (let i = 0; i < 95; i++) {
      aws.put(`/p${i}`, "v");
      observer.depend(`ns/s${i}`, [subscription(parameter(`/p${i}`))]);
    }
    await Promise.all(Array.from({ length: 95 }, (_, i) => observer.values(parameter(`/p${i}`), "bulk")));
    aws.calls.length = 0;
    await clock.advance(5 * minute);
    aws.calls.length = 0;
    await clock.advance(50 * minute);
    expect(aws.count("GetParameters", false)).toBeGreaterThanOrEqual(95);
    expect(aws.count("GetParameters", false)).toBeLessThanOrEqual(110);
    expect(aws.count("GetParameters", true)).toBe(0);
    expect(told).toEqual([]);
  });

  it("notify only the dependents of the parameter whose version differs", async () => {
    aws.put("/a", "1");
    aws.put("/b", "1");
    observer.depend("ns/one", [subscription(parameter("/a"))]);
    observer.depend("ns/two", [subscription(parameter("/a")), subscription(parameter("/b"))]);
    observer.depend("ns/three", [subscription(parameter("/b"))]);
    await observer.look([parameter("/a"), parameter("/b")], "bulk");
    aws.put("/a", "2");
    await clock.advance(5 * minute);
    expect(told.sort()).toEqual(["ns/one", "ns/two"]);
  });

  it("notice a parameter that was recreated with the same version 1", async () => {
    aws.put("/a", "1");
    observer.depend("ns/one", [subscription(parameter("/a"))]);
    await observer.look([parameter("/a")], "bulk");
    await clock.advance(1_000);
    aws.delete("/a");
    aws.put("/a", "2");
    await clock.advance(5 * minute);
    expect(told).toEqual(["ns/one"]);
    expect(await textOf(parameter("/a"))).toBe("2");
  });

  it("follow a label that moves back to an older version", async () => {
    aws.put("/a", "1");
    aws.put("/a", "2");
    aws.label("/a", "prod", 2);
    observer.depend("ns/one", [subscription(parameter("/a", ":prod"))]);
    await observer.look([parameter("/a", ":prod")], "bulk");
    aws.label("/a", "prod", 1);
    await clock.advance(5 * minute);
    expect(told).toEqual(["ns/one"]);
    expect(await textOf(parameter("/a", ":prod"))).toBe("1");
  });

  it("back off while AWS is unreachable, and notify the dependents when it answers again", async () => {
    aws.put("/a", "1");
    observer.depend("ns/one", [subscription(parameter("/a"), minute)]);
    await observer.look([parameter("/a")], "bulk");
    aws.fault = () => {
      throw new Failure("Unreachable", "retry", "no answer");
    };
    aws.calls.length = 0;
    await clock.advance(30 * minute);
    expect(aws.calls.length).toBeLessThan(20);
    expect(aws.calls.length).toBeGreaterThan(3);
    expect(told).toEqual([]);
    expect(observer.entry(parameter("/a"))!.state.stamp?.version).toBe(1);
    aws.fault = undefined;
    await clock.advance(10 * minute);
    expect(told).toEqual(["ns/one"]);
  });

  it("of an identity whose calls hang do not delay those of another", async () => {
    const other = aws.identity("other");
    const theirs: ParameterReference = { kind: "parameter", identity: other, name: "/b", selector: "" };
    aws.put("/a", "1");
    aws.put("/b", "1");
    observer.depend("ns/hanging", [subscription(parameter("/a"))]);
    observer.depend("ns/healthy", [subscription(theirs)]);
    await observer.look([parameter("/a"), theirs], "bulk");
    aws.fault = ({ names }) => (names.includes("/a") ? new Promise(() => {}) : undefined);
    await clock.advance(6 * minute);
    aws.put("/b", "2");
    await clock.advance(6 * minute);
    expect(told).toEqual(["ns/healthy"]);
  });

  it("end with the last dependent of the parameter", async () => {
    aws.put("/a", "1");
    observer.depend("ns/one", [subscription(parameter("/a"))]);
    await observer.look([parameter("/a")], "bulk");
    observer.depend("ns/one", []);
    aws.calls.length = 0;
    await clock.advance(60 * minute);
    expect(aws.calls).toEqual([]);
    expect(observer.entry(parameter("/a"))).toBeUndefined();
  });

  it("never happen with an infinite interval", async () => {
    aws.put("/a", "1");
    observer.depend("ns/one", [subscription(parameter("/a"), Infinity)]);
    await observer.look([parameter("/a")], "bulk");
    aws.calls.length = 0;
    await clock.advance(600 * minute);
    expect(aws.calls).toEqual([]);
  });
});

describe("values", () => {
  it("of ten parameters cost one call for a hundred dependents, also those that ask after the answer", async () => {
    const ten = Array.from({ length: 10 }, (_, i) => `/p${i}`);
    for (const name of ten) aws.put(name, `of ${name}`);
    for (let i = 0; i < 100; i++) {
      observer.depend(
        `ns/s${i}`,
        ten.map((name) => subscription(parameter(name))),
      );
      const reads = Promise.all(ten.map((name) => textOf(parameter(name))));
      if (i % 7 === 0) expect(await reads).toEqual(ten.map((name) => `of ${name}`));
    }
    await settle();
    expect(aws.calls).toHaveLength(1);
  });

  it("are dropped at the end of the reconciles, and after a minute at the latest", async () => {
    aws.put("/a", "1");
    observer.depend("ns/one", [subscription(parameter("/a"))]);
    await textOf(parameter("/a"));
    expect(observer.valuesHeld).toBe(1);
    observer.dropValues();
    expect(observer.valuesHeld).toBe(0);
    await textOf(parameter("/a"));
    await clock.advance(minute);
    expect(observer.valuesHeld).toBe(0);
  });

  it("are read again after a look has seen another version", async () => {
    aws.put("/a", "1");
    observer.depend("ns/one", [subscription(parameter("/a"))]);
    expect(await textOf(parameter("/a"))).toBe("1");
    aws.put("/a", "2");
    await observer.look([parameter("/a")], "bulk");
    expect(await textOf(parameter("/a"))).toBe("2");
  });

  it("of a stale replica are not returned after a newer version was seen", async () => {
    aws.put("/a", "1");
    observer.depend("ns/one", [subscription(parameter("/a"))]);
    await observer.look([parameter("/a")], "bulk");
    const old = structuredClone(aws.parameters.get("/a")!);
    await clock.advance(1_000);
    aws.put("/a", "2");
    await observer.look([parameter("/a")], "bulk");
    aws.parameters.set("/a", old);
    expect(await textOf(parameter("/a"))).toBeUndefined();
    expect(observer.entry(parameter("/a"))!.state.stamp?.version).toBe(2);
  });

  it("from before a deletion are not returned after the parameter was recreated with a lower version", async () => {
    for (const value of ["1", "2", "3"]) aws.put("/a", value);
    const old = structuredClone(aws.parameters.get("/a")!);
    observer.depend("ns/one", [subscription(parameter("/a"))]);
    await observer.look([parameter("/a")], "bulk");
    await clock.advance(1_000);
    aws.delete("/a");
    aws.put("/a", "new");
    await observer.look([parameter("/a")], "bulk");
    aws.parameters.set("/a", old);
    expect(await textOf(parameter("/a"))).toBeUndefined();
    expect(observer.entry(parameter("/a"))!.state.stamp?.version).toBe(1);
  });

  it("of a path are read by one listing, page by page", async () => {
    for (let i = 0; i < 25; i++) aws.put(`/app/p${i}`, `v${i}`);
    observer.depend("ns/one", [subscription(path("/app"))]);
    const read = await observer.values(path("/app"), "bulk");
    expect(read.state === "values" && read.values.size).toBe(25);
    expect(aws.count("GetParametersByPath")).toBe(3);
  });

  it("of a path whose listing never ends are a failure, and no member becomes missing", async () => {
    aws.put("/app/a", "1");
    observer.depend("ns/one", [subscription(path("/app"))]);
    await observer.look([path("/app")], "bulk");
    const endless = identity.ssm.getParametersByPath;
    identity.ssm.getParametersByPath = (permit) => permit.use(async () => ({ found: [], nextToken: "again" }));
    const read = await observer.values(path("/app"), "bulk");
    expect(read.state).toBe("failed");
    expect(observer.entry(path("/app"))!.members.get("/app/a")!.missing).toBeUndefined();
    identity.ssm.getParametersByPath = endless;
  });
});

describe("a missing parameter", () => {
  it("is absent at once if AWS never served it", async () => {
    observer.depend("ns/one", [subscription(parameter("/never"))]);
    await observer.look([parameter("/never")], "bulk");
    expect(observer.entry(parameter("/never"))!.state.missing?.stage).toBe("absent");
    expect(aws.count("GetParameter")).toBe(1);
  });

  it("notifies its dependent when it is created", async () => {
    observer.depend("ns/one", [subscription(parameter("/late"))]);
    await observer.look([parameter("/late")], "bulk");
    aws.put("/late", "1");
    await clock.advance(5 * minute);
    expect(told).toEqual(["ns/one"]);
  });

  it("is suspect at first, and gone after GetParameter confirms it a grace later", async () => {
    aws.put("/a", "1");
    observer.depend("ns/one", [subscription(parameter("/a"), minute)]);
    await observer.look([parameter("/a")], "bulk");
    aws.delete("/a");
    await clock.advance(minute);
    expect(observer.entry(parameter("/a"))!.state.missing?.stage).toBe("suspect");
    const asked = aws.count("GetParameter");
    await clock.advance(6 * minute);
    expect(observer.entry(parameter("/a"))!.state.missing?.stage).toBe("gone");
    expect(aws.count("GetParameter")).toBe(asked + 1);
  });

  it("is no longer missing if a pipeline replaces it within the grace", async () => {
    aws.put("/a", "1");
    observer.depend("ns/one", [subscription(parameter("/a"), minute)]);
    await observer.look([parameter("/a")], "bulk");
    aws.delete("/a");
    await clock.advance(minute);
    aws.put("/a", "2");
    await clock.advance(20 * minute);
    expect(observer.entry(parameter("/a"))!.state.missing).toBeUndefined();
    expect(await textOf(parameter("/a"))).toBe("2");
  });

  it.each([
    ["denied", new Failure("AccessDenied", "wait", "denied")],
    ["throttled", new Failure("Throttled", "retry", "throttled")],
    ["not answered", new Failure("Unreachable", "retry", "no answer")],
  ])("is not assumed when the look is %s", async (_, failure) => {
    aws.put("/a", "1");
    observer.depend("ns/one", [subscription(parameter("/a"), minute)]);
    await observer.look([parameter("/a")], "bulk");
    aws.fault = () => {
      throw failure;
    };
    await clock.advance(60 * minute);
    expect(observer.entry(parameter("/a"))!.state.missing).toBeUndefined();
  });

  it("is held, not gone, if over a tenth of the identity's names went missing at once", async () => {
    const all = Array.from({ length: 40 }, (_, i) => `/p${i}`);
    for (const name of all) aws.put(name, "v");
    observer.depend(
      "ns/one",
      all.map((name) => subscription(parameter(name), minute)),
    );
    await observer.look(
      all.map((name) => parameter(name)),
      "bulk",
    );
    for (const name of all.slice(0, 8)) aws.delete(name);
    await clock.advance(30 * minute);
    const stages = all.slice(0, 8).map((name) => observer.entry(parameter(name))!.state.missing?.stage);
    expect(new Set(stages)).toEqual(new Set(["held"]));
  });

  it("is held if all names went missing, though rare polls find them one by one", async () => {
    const all = Array.from({ length: 40 }, (_, i) => `/p${i}`);
    for (const name of all) aws.put(name, "v");
    const subscriptions = all.map((name) => subscription(parameter(name), 120 * minute));
    observer.depend("ns/one", subscriptions);
    await observer.look(
      subscriptions.map(({ reference }) => reference),
      "bulk",
    );
    for (const name of all) aws.delete(name);
    await clock.advance(600 * minute);
    const stages = all.map((name) => observer.entry(parameter(name))!.state.missing?.stage);
    expect(new Set(stages)).toEqual(new Set(["held"]));
  });

  it("is not gone while looks at the identity's other names fail", async () => {
    const all = Array.from({ length: 30 }, (_, i) => `/p${i}`);
    for (const name of all) aws.put(name, "v");
    observer.depend("ns/one", [
      subscription(parameter("/p0"), 60 * minute),
      ...all.slice(1).map((n) => subscription(parameter(n), 1440 * minute)),
    ]);
    await observer.look(
      all.map((name) => parameter(name)),
      "bulk",
    );
    for (const name of all) aws.delete(name);
    aws.fault = ({ names }) => {
      if (!names.includes("/p0")) throw new Failure("Throttled", "retry", "throttled");
    };
    await clock.advance(180 * minute);
    expect(observer.entry(parameter("/p0"))!.state.missing?.stage).toBe("suspect");
    aws.fault = undefined;
    await clock.advance(180 * minute);
    expect(observer.entry(parameter("/p0"))!.state.missing?.stage).toBe("held");
  });

  it("of a path becomes suspect, then gone, without affecting other members", async () => {
    for (const name of ["/app/a", "/app/b", "/app/c"]) aws.put(name, "v");
    observer.depend("ns/one", [subscription(path("/app"), minute)]);
    await observer.look([path("/app")], "bulk");
    aws.delete("/app/b");
    await clock.advance(minute);
    expect(observer.entry(path("/app"))!.members.get("/app/b")!.missing?.stage).toBe("suspect");
    await clock.advance(8 * minute);
    expect(observer.entry(path("/app"))!.members.get("/app/b")!.missing?.stage).toBe("gone");
    expect(observer.entry(path("/app"))!.members.get("/app/a")!.missing).toBeUndefined();
  });

  it("of a path is not gone while GetParameter finds it, though the listing is empty", async () => {
    aws.put("/app/a", "1");
    observer.depend("ns/one", [subscription(path("/app"), minute)]);
    await observer.look([path("/app")], "bulk");
    identity.ssm.getParametersByPath = async () => ({ found: [] });
    await clock.advance(60 * minute);
    expect(observer.entry(path("/app"))!.members.get("/app/a")!.missing?.stage).toBe("suspect");
  });
});

it("takes over the previous statuses, and notifies only the dependent whose status differs from the first poll", async () => {
  aws.put("/same", "1");
  aws.put("/changed", "1");
  const modified = clock.now();
  await clock.advance(1_000);
  aws.put("/changed", "2");
  const stored = { version: 1, modified };
  observer.depend("ns/same", [{ ...subscription(parameter("/same")), stored }]);
  observer.depend("ns/changed", [{ ...subscription(parameter("/changed")), stored }]);
  expect(aws.calls).toEqual([]);
  await clock.advance(5 * minute);
  expect(told).toEqual(["ns/changed"]);
  expect(aws.calls.every(({ decrypt }) => !decrypt)).toBe(true);
});
