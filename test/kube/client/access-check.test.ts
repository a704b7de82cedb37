import { expect, test } from "vitest";
import { AccessCheck } from "../../../src/kube/client/access-check.ts";
import { KubeError, type KubeErrorKind } from "../../../src/kube/errors.ts";
import { FakeClock } from "../../support/clock.ts";

/** An access check against a server whose answer the test sets. */
function rig() {
  const clock = new FakeClock();
  const state: { answer: KubeErrorKind | "ok"; asked: number; logged: string[] } = {
    answer: "ok",
    asked: 0,
    logged: [],
  };
  const list = async () => {
    state.asked += 1;
    if (state.answer !== "ok") throw new KubeError(state.answer, `LIST syncedsecrets: ${state.answer}`);
    return { items: [], resourceVersion: "1" };
  };
  const record = (_: object, message: string) => void state.logged.push(message);
  const log = { debug: record, info: record, warn: record, error: record };
  const check = new AccessCheck({ client: { list } as never, clock, log });
  const stop = new AbortController();
  void check.run(stop.signal);
  return { clock, state, check, stop };
}

test.each<KubeErrorKind>(["unauthorized", "forbidden"])(
  "reports a refusal after half a minute of %s, until a request succeeds",
  async (kind) => {
    const { clock, state, check } = rig();
    await clock.advance(60_000);
    state.answer = kind;
    await clock.advance(29_000);
    expect(check.isRefused).toBe(false);
    await clock.advance(11_000);
    expect(check.isRefused).toBe(true);
    await clock.advance(600_000);
    expect(state.logged).toHaveLength(1);
    state.answer = "ok";
    await clock.advance(10_000);
    expect(check.isRefused).toBe(false);
    expect(state.logged).toHaveLength(2);
  },
);

test.each<KubeErrorKind>(["network", "timeout", "unavailable", "tooManyRequests"])(
  "does not count %s as a refusal",
  async (kind) => {
    const { clock, state, check } = rig();
    state.answer = kind;
    await clock.advance(600_000);
    expect(check.isRefused).toBe(false);
    expect(state.logged).toEqual([]);
  },
);

test("restarts the half minute after a successful check", async () => {
  const { clock, state, check } = rig();
  for (let round = 0; round < 5; round++) {
    state.answer = "unauthorized";
    await clock.advance(20_000);
    state.answer = "ok";
    await clock.advance(10_000);
    expect(check.isRefused).toBe(false);
  }
});

test("checks six times a minute until it is stopped", async () => {
  const { clock, state, stop } = rig();
  await clock.advance(60_000);
  expect(state.asked).toBe(7);
  stop.abort();
  await clock.advance(60_000);
  expect(state.asked).toBe(7);
  expect(clock.pending).toBe(0);
});
