import fc from "fast-check";
import { beforeEach, describe, expect, it } from "vitest";
import { AwsFailure } from "../../../src/aws/failure.ts";
import type { Identity } from "../../../src/aws/identity.ts";
import { RateLimiters } from "../../../src/aws/ratelimit/limiters.ts";
import { QuotaRegistry } from "../../../src/aws/ratelimit/quota-registry.ts";
import type { ParameterRecord } from "../../../src/aws/ssm.ts";
import { Metrics } from "../../../src/metrics/metrics.ts";
import { Reader } from "../../../src/parameters/read/reader.ts";
import { systemClock } from "../../../src/runtime/clock.ts";
import { Failure } from "../../../src/runtime/failure.ts";
import { FakeAws } from "../../support/fake-aws.ts";
import { ssmOf } from "../../support/permits.ts";

let aws: FakeAws;
let identity: Identity;
let reader: Reader;

beforeEach(() => {
  aws = new FakeAws(() => 1_000);
  identity = aws.identity();
  reader = new Reader(limitersOf(10_000));
});

/** @param limit requests a second */
const limitersOf = (limit: number) =>
  new RateLimiters({
    quotas: new QuotaRegistry(systemClock, { ssm: limit, kms: limit }),
    clock: systemClock,
    metrics: new Metrics(),
  });
const read = (name: string, decrypt = true) => reader.read(identity, name, { decrypt, lane: "bulk" });
const names = (count: number) => Array.from({ length: count }, (_, i) => `/app/p${i}`);
const denied = () => new Failure("AccessDenied", "wait", "denied");

describe("reading in batches", () => {
  it("reads 3,000 names in 300 calls of ten", async () => {
    for (const name of names(3_000)) aws.put(name, "v");
    const reads = await Promise.all(names(3_000).map((name) => read(name)));
    expect(reads.every(({ state }) => state === "found")).toBe(true);
    expect(aws.count("GetParameters")).toBe(300);
    expect(aws.count("GetParameter")).toBe(0);
  });

  it("fills calls with names requested one after another", async () => {
    for (const name of names(40)) aws.put(name, "v");
    const asked: Promise<unknown>[] = [];
    for (const name of names(40)) {
      asked.push(read(name));
      await Promise.resolve();
    }
    await Promise.all(asked);
    expect(aws.count("GetParameters")).toBe(4);
  });

  it("answers equal requests with one read", async () => {
    aws.put("/app/one", "v");
    const reads = await Promise.all(Array.from({ length: 50 }, () => read("/app/one")));
    expect(aws.calls.map((call) => call.names)).toEqual([["/app/one"]]);
    expect(new Set(reads).size).toBe(1);
  });

  it("never mixes reads with and without decryption, so that a poll uses no KMS", async () => {
    for (const name of names(4)) aws.put(name, "v");
    await Promise.all([read("/app/p0"), read("/app/p1", false), read("/app/p2"), read("/app/p3", false)]);
    const byDecryption = aws.calls.map(({ decrypt, names: asked }) => [decrypt, ...asked]);
    expect(byDecryption.sort()).toEqual([
      [false, "/app/p1", "/app/p3"],
      [true, "/app/p0", "/app/p2"],
    ]);
  });

  it("sends the more urgent lane first", async () => {
    for (const name of names(200)) aws.put(name, "v");
    const bulk = names(190).map((name) => read(name));
    const urgent = reader.read(identity, "/app/p199", { decrypt: true, lane: "interactive" });
    await Promise.all([...bulk, urgent]);
    expect(aws.calls[0]!.names[0]).toBe("/app/p199");
  });

  it("never mixes identities", async () => {
    aws.put("/a", "1");
    const other = aws.identity("other");
    await Promise.all([read("/a"), reader.read(other, "/a", { decrypt: true, lane: "bulk" })]);
    expect(aws.count("GetParameters")).toBe(2);
  });
});

describe("names that AWS calls invalid", () => {
  it("are looked up once by GetParameter, and the reason is remembered", async () => {
    aws.put("/app/there", "v");
    const first = await Promise.all([
      read("/app/there"),
      read("/app/absent"),
      read("/app/there:9"),
      read("/app/there:prod"),
    ]);
    expect(first.map((r) => (r.state === "missing" ? r.reason : r.state))).toEqual([
      "found",
      "ParameterNotFound",
      "VersionNotFound",
      "VersionNotFound",
    ]);
    expect(aws.count("GetParameter")).toBe(3);
    await read("/app/absent");
    expect(aws.count("GetParameter")).toBe(3);
  });

  it("are found after the parameter was created", async () => {
    await read("/app/late");
    aws.put("/app/late", "v");
    expect((await read("/app/late")).state).toBe("found");
    aws.delete("/app/late");
    await read("/app/late");
    expect(aws.count("GetParameter")).toBe(2);
  });
});

describe("calls that fail for all names", () => {
  it("are halved until the poison name is alone, and the others are answered", async () => {
    for (const name of names(10)) aws.put(name, "v");
    aws.fault = ({ names: asked }) => {
      if (asked.includes("/app/p7")) throw denied();
    };
    const reads = await Promise.all(names(10).map((name) => read(name)));
    expect(reads.filter(({ state }) => state === "failed")).toHaveLength(1);
    expect(reads[7]!.state).toBe("failed");
    expect(aws.calls.length).toBeLessThanOrEqual(9);
  });

  it("cause the poison name to be read alone until AWS answers for it", async () => {
    for (const name of names(10)) aws.put(name, "v");
    aws.fault = ({ names: asked }) => {
      if (asked.includes("/app/p7")) throw denied();
    };
    await Promise.all(names(10).map((name) => read(name)));
    aws.calls.length = 0;
    await Promise.all(names(10).map((name) => read(name)));
    expect(aws.calls.map((call) => call.names.length).sort()).toEqual([1, 9]);
    aws.fault = undefined;
    await read("/app/p7");
    aws.calls.length = 0;
    await Promise.all(names(10).map((name) => read(name)));
    expect(aws.calls.map((call) => call.names.length)).toEqual([10]);
  });

  it("with a server error are halved the second time, since one name may be the cause", async () => {
    for (const name of names(10)) aws.put(name, "v");
    aws.fault = ({ names: asked }) => {
      if (!asked.includes("/app/p3")) return;
      const parts = { reason: "Unreachable", next: "retry", message: "broken", code: "InternalServerError" } as const;
      throw new AwsFailure({ ...parts, scope: "server" });
    };
    const first = await Promise.all(names(10).map((name) => read(name)));
    expect(first.every(({ state }) => state === "failed")).toBe(true);
    const second = await Promise.all(names(10).map((name) => read(name)));
    expect(second.filter(({ state }) => state === "failed")).toHaveLength(1);
    aws.calls.length = 0;
    await Promise.all(names(10).map((name) => read(name)));
    expect(aws.calls.map((call) => call.names.length).sort()).toEqual([1, 9]);
  });

  it("are not split if AWS throttled, since no name is the cause", async () => {
    for (const name of names(10)) aws.put(name, "v");
    aws.fault = () => {
      throw new Failure("Throttled", "retry", "throttled");
    };
    const reads = await Promise.all(names(10).map((name) => read(name)));
    expect(reads.every((r) => r.state === "failed" && r.failure.reason === "Throttled")).toBe(true);
    expect(aws.calls).toHaveLength(1);
  });
});

describe("an answer that is too long", () => {
  const tooLong = () =>
    new AwsFailure({ reason: "Unreachable", next: "retry", message: "too long", code: "AnswerTooLong" });

  it("causes the call to be split until the answers fit", async () => {
    for (const name of names(10)) aws.put(name, "v");
    const long = new Set(names(6));
    aws.fault = ({ names: asked }) => {
      if (asked.filter((name) => long.has(name)).length > 5) throw tooLong();
    };
    const reads = await Promise.all(names(10).map((name) => read(name)));
    expect(reads.map(({ state }) => state)).toEqual(Array(10).fill("found"));
    expect(aws.calls.map((call) => call.names.length)).toEqual([10, 5, 5]);
  });

  it("for a single name causes it to be read alone afterwards", async () => {
    for (const name of names(10)) aws.put(name, "v");
    aws.fault = ({ names: asked }) => {
      if (asked.includes("/app/p7")) throw tooLong();
    };
    const reads = await Promise.all(names(10).map((name) => read(name)));
    expect(reads.filter(({ state }) => state === "failed")).toHaveLength(1);
    aws.calls.length = 0;
    await Promise.all(names(10).map((name) => read(name)));
    expect(aws.calls.map((call) => call.names.length).sort()).toEqual([1, 9]);
  });
});

describe("an answer for another parameter or version", () => {
  const account = "arn:aws:ssm:eu-west-1:123456789012:parameter";
  /** Changes every record in the answers. */
  const tampering = (change: (record: ParameterRecord) => ParameterRecord) => {
    const { ssm } = identity;
    identity = {
      ...identity,
      ssm: {
        ...ssm,
        getParameter: async (...args) => change(await ssm.getParameter(...args)),
        getParameters: async (...args) => {
          const answer = await ssm.getParameters(...args);
          return { ...answer, found: answer.found.map(change) };
        },
      },
    };
  };

  it("is never used where names with and without a leading slash are two parameters, in any order", async () => {
    for (const name of ["h/x", "/h/x", "y", "/y"]) aws.put(name, `of ${name}`);
    for (const asked of [
      ["/h/x", "h/x", "/y", "y"],
      ["h/x", "y"],
      ["/h/x", "/y"],
    ]) {
      const reads = await Promise.all(asked.map((name) => read(name)));
      expect(reads.map((r) => r.state === "found" && Buffer.from(r.record.value!.reveal()).toString())).toEqual(
        asked.map((n) => `of ${n}`),
      );
    }
  });

  it.each<[string, string, (record: ParameterRecord) => Partial<ParameterRecord>]>([
    ["lacks its leading slash", "/h/x", () => ({ name: "h/x" })],
    ["has one level and lacks its leading slash", "/x", () => ({ name: "x" })],
    ["has an added leading slash", "x", () => ({ name: "/x" })],
    ["has another name", "/h/x", () => ({ name: "/h/y" })],
    ["has another ARN", "/h/x", () => ({ arn: `${account}/h/y` })],
    ["has another version", "/h/x:1", () => ({ version: 2 })],
    ["has another selector", "/h/x:1", () => ({ selector: ":2" })],
    ["lacks its selector", "/h/x:prod", () => ({ selector: undefined })],
    ["has a selector that was not requested", "/h/x", () => ({ selector: ":prod" })],
    ["differs in case", "/h/x", () => ({ name: "/h/X" })],
  ])("is Unreachable if it %s", async (_, asked, part) => {
    const [name = ""] = asked.split(":");
    aws.put(name, "v");
    aws.label(name, "prod", 1);
    tampering((record) => ({ ...record, ...part(record) }));
    for (const found of [await read(asked), await reader.confirm(identity, asked, "bulk")]) {
      expect(found).toMatchObject({ state: "failed", failure: { reason: "Unreachable", next: "retry" } });
    }
  });

  it("is a failure if it is of another account", async () => {
    aws.put("/shared/x", "v");
    const own = await ssmOf(identity).getParameter("/shared/x", { decrypt: false });
    const { ssm } = identity;
    identity = { ...identity, ssm: { ...ssm, getParameter: (permit) => permit.use(async () => own) } };
    const theirs = own.arn.replace("123456789012", "210987654321");
    expect(await reader.confirm(identity, own.arn, "bulk")).toMatchObject({ state: "found" });
    expect(await reader.confirm(identity, theirs, "bulk")).toMatchObject({ state: "failed" });
  });

  it("does not confirm a deletion by leaving the name out", async () => {
    aws.put("/h/x", "v");
    const { ssm } = identity;
    identity = {
      ...identity,
      ssm: { ...ssm, getParameters: (permit) => permit.use(async () => ({ found: [], invalid: [] })) },
    };
    const second = await reader.read(identity, "/h/x", { decrypt: false, lane: "bulk", confirms: true });
    expect(second).toMatchObject({ state: "failed", failure: { reason: "Unreachable" } });
  });
});

it("answers every read with its own parameter, for any mix of found, missing and denied names", async () => {
  const asked = fc.array(fc.record({ id: fc.integer({ min: 0, max: 30 }), decrypt: fc.boolean() }), {
    minLength: 1,
    maxLength: 60,
  });
  await fc.assert(
    fc.asyncProperty(asked, fc.uniqueArray(fc.integer({ min: 0, max: 30 })), async (asks, poison) => {
      const world = new FakeAws(() => 1_000);
      for (let i = 0; i < 25; i++) world.put(`/p${i}`, `value ${i}`);
      world.fault = ({ names: batch }) => {
        if (poison.some((id) => batch.includes(`/p${id}`))) throw denied();
      };
      const own = new Reader(limitersOf(10_000));
      const me = world.identity();
      const answers = await Promise.all(
        asks.map(({ id, decrypt }) => own.read(me, `/p${id}`, { decrypt, lane: "bulk" })),
      );
      for (const [index, { id, decrypt }] of asks.entries()) {
        const answer = answers[index]!;
        const expected = poison.includes(id) ? "failed" : id < 25 ? "found" : "missing";
        expect(answer.state).toBe(expected);
        if (answer.state !== "found") continue;
        expect(answer.record.name).toBe(`/p${id}`);
        if (decrypt) expect(Buffer.from(answer.record.value!.reveal()).toString()).toBe(`value ${id}`);
      }
      expect(world.calls.every((call) => call.names.length <= 10)).toBe(true);
    }),
    { numRuns: 60 },
  );
});
