import { describe, expect, test } from "vitest";
import type { KubeClient } from "../../src/kube/client/client.ts";
import { KubeError } from "../../src/kube/errors.ts";
import type { Resource } from "../../src/kube/resource.ts";
import { TokenAccess } from "../../src/kube/token-access.ts";
import { FakeClock, settle } from "../support/clock.ts";

const user = { username: "system:serviceaccount:monitoring:prometheus", uid: "u", groups: ["g"], extra: { a: ["b"] } };

/** An API server that knows the tokens `good` and `other`, and lets the user of `good` read. */
function rig() {
  const clock = new FakeClock();
  const asked: { plural: string; spec: object }[] = [];
  const lines: string[] = [];
  const state: { failure?: KubeError; hangs?: boolean } = {};
  const line = (level: string) => (fields: object, message: string) =>
    void lines.push(`${level} ${message} ${JSON.stringify(fields)}`);
  const client = {
    async review({ plural }: Resource, spec: { token?: string; user?: string }) {
      asked.push({ plural, spec });
      if (state.hangs) await new Promise(() => {});
      if (state.failure) throw state.failure;
      if (plural === "subjectaccessreviews") return { allowed: spec.user === user.username };
      if (spec.token === "good") return { authenticated: true, user };
      if (spec.token === "other") return { authenticated: true, user: { username: "other" } };
      return { error: "token good is wrong" };
    },
  } as Pick<KubeClient, "review">;
  const log = { debug: line("debug"), info: line("info"), warn: line("warn"), error: line("error") };
  const access = new TokenAccess({ client, clock, log, path: "/metrics" });
  const check = (token: string, address = "10.0.0.1") => access.check({ token, address });
  return { clock, asked, lines, state, check, count: () => asked.splice(0).length };
}

describe("a client with a token", () => {
  test("is allowed if RBAC lets the token's user get the path", async () => {
    const { check, asked } = rig();
    expect(await check("good")).toEqual({ kind: "allowed" });
    const { username, ...rest } = user;
    expect(asked).toEqual([
      { plural: "tokenreviews", spec: { token: "good" } },
      {
        plural: "subjectaccessreviews",
        spec: { user: username, ...rest, nonResourceAttributes: { path: "/metrics", verb: "get" } },
      },
    ]);
  });

  test("is refused by its user's name if RBAC does not", async () => {
    expect(await rig().check("other")).toEqual({ kind: "forbidden", user: "other" });
  });

  test("is refused without a SubjectAccessReview if the API server does not know the token", async () => {
    const { check, asked } = rig();
    expect(await check("bad")).toEqual({ kind: "unauthenticated" });
    expect(asked.map(({ plural }) => plural)).toEqual(["tokenreviews"]);
  });

  test.each(["", "a b", "ä", "a\n", "x".repeat(9_000), "=", "a=b"])(
    "of a wrong form costs no request: %j",
    async (token) => {
      const { check, count } = rig();
      expect(await check(token)).toEqual({ kind: "unauthenticated" });
      expect(count()).toBe(0);
    },
  );

  test("appears in no log line", async () => {
    const { check, lines, state, clock } = rig();
    for (const token of ["secrettoken1", "good", "other"]) await check(token);
    state.failure = new KubeError("forbidden", "POST tokenreviews: 403");
    await clock.advance(61_000);
    await check("secrettoken2");
    expect(lines.join("\n")).not.toMatch(/secrettoken|"good"/);
    expect(lines.join("\n")).toContain("grant create on tokenreviews");
  });
});

describe("an answer", () => {
  test("is kept for a minute if the client is allowed, and for half a minute otherwise", async () => {
    const { check, clock, count } = rig();
    for (const token of ["good", "other", "bad"]) await check(token);
    expect(count()).toBe(5);
    await clock.advance(29_000);
    for (const token of ["good", "other", "bad"]) await check(token);
    expect(count()).toBe(0);
    await clock.advance(1_000);
    for (const token of ["good", "other", "bad"]) await check(token);
    expect(count()).toBe(3);
    await clock.advance(30_000);
    await check("good");
    expect(count()).toBe(2);
  });

  test("is shared by clients that ask at once", async () => {
    const { check, count } = rig();
    const all = await Promise.all(Array.from({ length: 50 }, () => check("good")));
    expect(new Set(all.map(({ kind }) => kind))).toEqual(new Set(["allowed"]));
    expect(count()).toBe(2);
  });

  test("is unknown while the API server fails or does not answer in ten seconds, and is not kept", async () => {
    const { check, clock, state, lines } = rig();
    state.failure = new KubeError("unavailable", "POST tokenreviews: 503");
    expect(await check("good")).toEqual({ kind: "unknown" });
    expect(await check("good")).toEqual({ kind: "unknown" });
    delete state.failure;
    state.hangs = true;
    const late = check("good");
    await clock.advance(10_000);
    expect(await late).toEqual({ kind: "unknown" });
    state.hangs = false;
    expect(await check("good")).toEqual({ kind: "allowed" });
    expect(lines.filter((line) => line.startsWith("error"))).toHaveLength(2);
    expect(lines.at(-1)).toContain("checks clients of the metrics again");
  });
});

describe("many wrong tokens", () => {
  test("of one address cost ten requests at once, and then one every five seconds", async () => {
    const { check, clock, count } = rig();
    for (let index = 0; index < 1_000; index++) await check(`bad${index}`);
    expect(count()).toBe(10);
    expect(await check("another")).toEqual({ kind: "limited", retryAfterMs: 5_000 });
    await clock.advance(60_000);
    for (let index = 0; index < 1_000; index++) await check(`worse${index}`);
    expect(count()).toBe(10);
  });

  test("of many addresses cost twenty requests at once, and then two a second", async () => {
    const { check, clock, count } = rig();
    const flood = async (round: number) => {
      for (let index = 0; index < 1_000; index++) await check(`bad${round}-${index}`, `10.0.${index % 250}.${round}`);
    };
    await flood(0);
    expect(count()).toBe(20);
    for (let round = 1; round <= 10; round++) {
      await clock.advance(1_000);
      await flood(round);
    }
    expect(count()).toBe(20);
  });

  test("keep out no client that was allowed before, from its address or another", async () => {
    const { check, clock, count } = rig();
    expect(await check("good", "10.1.1.1")).toEqual({ kind: "allowed" });
    for (let round = 0; round < 60; round++) {
      for (let index = 0; index < 50; index++) await check(`bad${round}-${index}`, `10.0.${index}.${round}`);
      for (let index = 0; index < 50; index++) await check(`worse${round}-${index}`, "10.1.1.1");
      await clock.advance(10_000);
      expect(await check("good", "10.1.1.1")).toEqual({ kind: "allowed" });
      expect(await check("good", "10.2.2.2")).toEqual({ kind: "allowed" });
    }
    expect(count()).toBeLessThan(20 + 600 * 2 + 10 + 120 + 2 * 20);
  });

  test("of other addresses do not keep out a new token of an address that was allowed before", async () => {
    const { check } = rig();
    await check("good", "10.1.1.1");
    for (let index = 0; index < 100; index++) await check(`bad${index}`, `10.0.0.${index}`);
    expect(await check("other", "10.3.3.3")).toMatchObject({ kind: "limited" });
    expect(await check("other", "10.1.1.1")).toEqual({ kind: "forbidden", user: "other" });
  });

  test("leave nothing behind but what is bounded", async () => {
    const { check, clock } = rig();
    for (let index = 0; index < 5_000; index++) {
      await check(`bad${index}`, `10.${index % 256}.${Math.floor(index / 256)}.1`);
      if (index % 500 === 0) await clock.advance(500);
    }
    await settle();
    expect(clock.pending).toBe(0);
  });
});
