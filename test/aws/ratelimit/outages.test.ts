import { beforeEach, describe, expect, test } from "vitest";
import { AwsFailure, isAnswer, isSilence } from "../../../src/aws/failure.ts";
import type { Identity } from "../../../src/aws/identity.ts";
import { Outages } from "../../../src/aws/ratelimit/outages.ts";
import { Failure } from "../../../src/runtime/failure.ts";
import { FakeClock, settle } from "../../support/clock.ts";

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

/** Notes failed calls, evenly spread over some seconds. */
async function fail(calls: number, seconds: number, error: unknown = silence): Promise<void> {
  for (let call = 0; call < calls; call++) {
    if (call > 0) await clock.advance((seconds * 1_000) / (calls - 1));
    outages.note("one", "ssm", error);
    await settle();
  }
}

describe("a service", () => {
  test("is down after three unanswered calls in half a minute, and its users are notified once", async () => {
    await fail(3, 30);
    expect(outages.isDown("one", "ssm")).toBe(true);
    expect(outages.isDown("one", "kms")).toBe(false);
    outages.note("one", "ssm", silence);
    expect(told).toEqual(["a"]);
    expect(probes).toEqual(["one ssm"]);
  });

  test("is not down if the probe is answered, though the user's calls are not", async () => {
    probe = async () => outages.note("one", "ssm");
    await fail(5, 60);
    expect(outages.isDown("one", "ssm")).toBe(false);
    expect(told).toEqual([]);
    // The next unanswered call starts another half minute.
    expect(probes).toHaveLength(1);
    expect(clock.pending).toBe(0);
  });

  test.each([
    ["is aborted", () => Promise.reject(failure("AbortError"))],
    ["fails with an unknown error", () => Promise.reject(new Error("x"))],
  ])("is not down if the probe %s; the next unanswered call probes again", async (_, failing) => {
    probe = failing;
    await fail(3, 30);
    expect(outages.isDown("one", "ssm")).toBe(false);
    probe = () => Promise.reject(silence);
    outages.note("one", "ssm", silence);
    await settle();
    expect(outages.isDown("one", "ssm")).toBe(true);
    expect(probes).toHaveLength(2);
  });

  test("is probed once, however many calls fail during the probe", async () => {
    const answer = Promise.withResolvers<void>();
    probe = () => answer.promise;
    await fail(6, 60);
    expect([probes.length, outages.isDown("one", "ssm")]).toEqual([1, false]);
    answer.reject(silence);
    await settle();
    expect(outages.isDown("one", "ssm")).toBe(true);
  });

  test.each([
    ["another call is answered", () => outages.note("one", "ssm")],
    ["its last user leaves", () => outages.unwatch("a", "one")],
    ["the operator stops", () => outages.stop()],
  ])("is not down if %s during the probe", async (_, happens) => {
    const answer = Promise.withResolvers<void>();
    probe = () => answer.promise;
    await fail(3, 30);
    happens();
    answer.reject(silence);
    await settle();
    expect([outages.isDown("one", "ssm"), told, clock.pending]).toEqual([false, [], 0]);
  });

  test.each([
    ["two unanswered calls", 2, 40],
    ["50 unanswered calls in less than half a minute", 50, 29.9],
  ])("is not down after %s", async (_, calls, seconds) => {
    await fail(calls, seconds);
    expect(outages.isDown("one", "ssm")).toBe(false);
    expect(told).toEqual([]);
  });

  test.each([
    ["succeeds", undefined],
    ["is denied", failure("AccessDeniedException")],
    ["is throttled", failure("ThrottlingException")],
    ["finds no parameter", failure("ParameterNotFound")],
  ])("is not down if a call in between %s", async (_, answer) => {
    await fail(2, 29);
    outages.note("one", "ssm", answer);
    await fail(2, 2);
    expect(outages.isDown("one", "ssm")).toBe(false);
  });

  test("is down even if calls in between were aborted, which is no answer", async () => {
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

  test("is never down for DescribeParameters, which no standby region serves", async () => {
    for (let call = 0; call < 5; call++) {
      outages.note("one", "describe", silence);
      await clock.advance(10_000);
    }
    expect([outages.isDown("one", "describe"), told, clock.pending]).toEqual([false, [], 0]);
  });

  test("is not watched for connections without a standby region", async () => {
    outages.unwatch("a", "one");
    await fail(5, 60);
    expect(outages.isDown("one", "ssm")).toBe(false);
    expect(clock.pending).toBe(0);
  });
});

describe("a service that is down", () => {
  beforeEach(async () => {
    await fail(3, 30);
    probes.length = 0;
  });

  test("is probed every half minute until it answers", async () => {
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

  test("is up after any answered call", () => {
    outages.note("one", "ssm");
    expect(outages.isDown("one", "ssm")).toBe(false);
    expect(clock.pending).toBe(0);
  });

  test("keeps a single probe if its user leaves and returns during one", async () => {
    const answer = Promise.withResolvers<void>();
    probe = () => answer.promise;
    await clock.advance(30_000);
    outages.unwatch("a", "one");
    outages.watch("a", identity);
    answer.resolve();
    await settle();
    expect(clock.pending).toBe(0);
  });

  test("is not probed after its last user has left or the operator has stopped", async () => {
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
])("%s counts as no answer: %s, as an answer: %s", (code, silent, answered) => {
  expect([isSilence(failure(code)), isAnswer(failure(code))]).toEqual([silent, answered]);
});

test("a server error counts as no answer if its code is unknown", () => {
  const parts = { reason: "Unreachable", next: "retry", scope: "server", message: "x" } as const;
  expect(isSilence(new AwsFailure({ ...parts, code: "UnknownError" }))).toBe(true);
  expect(isSilence(new AwsFailure({ ...parts, code: "InvalidNextToken" }))).toBe(false);
});
