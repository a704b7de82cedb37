import { beforeEach, describe, expect, test } from "vitest";
import { AwsFailure, isAnswer, isSilence } from "../../src/aws/failure.ts";
import type { Identity } from "../../src/aws/identity.ts";
import { Outages } from "../../src/parameters/outages.ts";
import { Failure } from "../../src/runtime/failure.ts";
import { FakeClock, settle } from "../support/clock.ts";

const identity = { key: "one" } as Identity;
const failure = (code: string) => new AwsFailure({ reason: "Unreachable", next: "retry", code, message: code });
const silence = failure("TimeoutError");

let clock: FakeClock;
let outages: Outages;
let told: string[];
let probes: string[];
let probe: () => Promise<unknown>;

beforeEach(() => {
  clock = new FakeClock();
  [told, probes] = [[], []];
  probe = () => {
    outages.note("one", "ssm", silence);
    return Promise.reject(silence);
  };
  outages = new Outages({
    clock,
    probe: (whose, service) => {
      probes.push(`${whose.key} ${service}`);
      return probe();
    },
    changed: (user) => told.push(user),
  });
  outages.watch("a", identity);
});

/** Has so many calls fail, evenly over so many seconds. */
async function fail(calls: number, seconds: number, error: unknown = silence): Promise<void> {
  for (let call = 0; call < calls; call++) {
    if (call > 0) await clock.advance((seconds * 1_000) / (calls - 1));
    outages.note("one", "ssm", error);
    await settle();
  }
}

describe("a service is down", () => {
  test("where three calls in half a minute were not answered, and its users are told once", async () => {
    await fail(3, 30);
    expect(outages.isDown("one", "ssm")).toBe(true);
    expect(outages.isDown("one", "kms")).toBe(false);
    outages.note("one", "ssm", silence);
    expect(told).toEqual(["a"]);
    expect(probes).toEqual(["one ssm"]);
  });

  test("not where these calls failed, and a probe that names nothing of the user's is answered", async () => {
    probe = async () => outages.note("one", "ssm");
    await fail(5, 60);
    expect(outages.isDown("one", "ssm")).toBe(false);
    expect(told).toEqual([]);
    // Half a minute begins anew with the next silence.
    expect(probes).toHaveLength(1);
    expect(clock.pending).toBe(0);
  });

  test.each([
    ["was given up", () => Promise.reject(failure("AbortError"))],
    ["failed by an error of nobody's", () => Promise.reject(new Error("x"))],
  ])("not where the probe %s; the next silence has it asked again", async (_, said) => {
    probe = said;
    await fail(3, 30);
    expect(outages.isDown("one", "ssm")).toBe(false);
    probe = () => Promise.reject(silence);
    outages.note("one", "ssm", silence);
    await settle();
    expect(outages.isDown("one", "ssm")).toBe(true);
    expect(probes).toHaveLength(2);
  });

  test("by one probe, however many calls fail while it is under way", async () => {
    const answer = Promise.withResolvers<void>();
    probe = () => answer.promise;
    await fail(6, 60);
    expect([probes.length, outages.isDown("one", "ssm")]).toEqual([1, false]);
    answer.reject(silence);
    await settle();
    expect(outages.isDown("one", "ssm")).toBe(true);
  });

  test.each([
    ["somebody else is answered", () => outages.note("one", "ssm")],
    ["its last user goes", () => outages.unwatch("a", "one")],
    ["the operator ends", () => outages.stop()],
  ])("not where %s while it is probed", async (_, happens) => {
    const answer = Promise.withResolvers<void>();
    probe = () => answer.promise;
    await fail(3, 30);
    happens();
    answer.reject(silence);
    await settle();
    expect([outages.isDown("one", "ssm"), told, clock.pending]).toEqual([false, [], 0]);
  });

  test.each([
    ["two calls were not answered", 2, 40],
    ["many calls were not answered for less than half a minute", 50, 29.9],
  ])("not where %s", async (_, calls, seconds) => {
    await fail(calls, seconds);
    expect(outages.isDown("one", "ssm")).toBe(false);
    expect(told).toEqual([]);
  });

  test.each([
    ["it answered", undefined],
    ["it denied", failure("AccessDeniedException")],
    ["it throttled", failure("ThrottlingException")],
    ["it had nothing", failure("ParameterNotFound")],
  ])("not where %s in between", async (_, answer) => {
    await fail(2, 29);
    outages.note("one", "ssm", answer);
    await fail(2, 2);
    expect(outages.isDown("one", "ssm")).toBe(false);
  });

  test("also where calls were given up in between, which is no answer", async () => {
    await fail(2, 29);
    for (const error of [
      failure("AbortError"),
      failure("InvalidAnswer"),
      new Failure("Pending", "wait", "x"),
      new Error("x"),
    ]) {
      outages.note("one", "ssm", error);
    }
    await fail(2, 2);
    expect(outages.isDown("one", "ssm")).toBe(true);
  });

  test("never for descriptions, for which no region stands in", async () => {
    for (let call = 0; call < 5; call++) {
      outages.note("one", "describe", silence);
      await clock.advance(10_000);
    }
    expect([outages.isDown("one", "describe"), told, clock.pending]).toEqual([false, [], 0]);
  });

  test("for nobody whose connection has no other region", async () => {
    outages.unwatch("a", "one");
    await fail(5, 60);
    expect(outages.isDown("one", "ssm")).toBe(false);
    expect(clock.pending).toBe(0);
  });
});

describe("what is down", () => {
  beforeEach(async () => {
    await fail(3, 30);
    probes.length = 0;
  });

  test("is asked every half minute until it answers, and then no more", async () => {
    for (let time = 1; time <= 3; time++) {
      await clock.advance(30_000);
      await settle();
      expect(probes).toHaveLength(time);
    }
    probe = async () => outages.note("one", "ssm", failure("AccessDeniedException"));
    await clock.advance(30_000);
    await settle();
    expect(outages.isDown("one", "ssm")).toBe(false);
    expect(told).toEqual(["a", "a"]);
    expect(clock.pending).toBe(0);
    expect(probes).toEqual(Array(4).fill("one ssm"));
  });

  test("is up again with anybody's answer", () => {
    outages.note("one", "ssm");
    expect(outages.isDown("one", "ssm")).toBe(false);
    expect(clock.pending).toBe(0);
  });

  test("is asked by one alone, also where its user went and came back while it was asked", async () => {
    const answer = Promise.withResolvers<void>();
    probe = () => answer.promise;
    await clock.advance(30_000);
    outages.unwatch("a", "one");
    outages.watch("a", identity);
    answer.resolve();
    await settle();
    expect(clock.pending).toBe(0);
  });

  test("is asked no more when its last user has gone, or the operator ends", async () => {
    outages.watch("b", identity);
    outages.unwatch("a", "one");
    expect(outages.isDown("one", "ssm")).toBe(true);
    outages.unwatch("b", "one");
    expect(clock.pending).toBe(0);
    outages.watch("a", identity);
    await fail(3, 30);
    expect(clock.pending).toBe(1);
    outages.stop();
    expect(clock.pending).toBe(0);
  });
});

test.each([
  ["TimeoutError", true, false],
  ["NetworkError", true, false],
  ["InternalServerError", true, false],
  ["ServiceUnavailableException", true, false],
  ["KMSInternalException", true, false],
  ["DependencyTimeoutException", true, false],
  ["AccessDeniedException", false, true],
  ["ThrottlingException", false, true],
  ["ParameterNotFound", false, true],
  ["ExpiredTokenException", false, true],
  ["DisabledException", false, true],
  ["RequestExpired", false, true],
  ["InvalidNextToken", false, true],
  ["AbortError", false, false],
  ["InvalidAnswer", false, false],
  ["AddressRefused", false, false],
  ["UnknownError", false, false],
])("%s is a silence: %s, an answer: %s", (code, silent, answered) => {
  expect([isSilence(failure(code)), isAnswer(failure(code))]).toEqual([silent, answered]);
});

test("an error of the service's own is a silence, under whatever name", () => {
  const parts = { reason: "Unreachable", next: "retry", scope: "server", message: "x" } as const;
  expect(isSilence(new AwsFailure({ ...parts, code: "UnknownError" }))).toBe(true);
  expect(isSilence(new AwsFailure({ ...parts, code: "InvalidNextToken" }))).toBe(false);
});
