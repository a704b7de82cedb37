import { expect, test } from "vitest";
import { AccessCheck } from "../../src/kube/access-check.ts";
import { KubeError, type KubeErrorKind } from "../../src/kube/errors.ts";
import { FakeClock } from "../support/clock.ts";

/** A check against a server that answers as it is told. */
function rig() {
  const clock = new FakeClock();
  const state: { answer: KubeErrorKind | "ok"; asked: number; said: string[] } = { answer: "ok", asked: 0, said: [] };
  const list = async () => {
    state.asked += 1;
    if (state.answer !== "ok") throw new KubeError(state.answer, `LIST syncedsecrets: ${state.answer}`);
    return { items: [], resourceVersion: "1" };
  };
  const say = (_: object, message: string) => void state.said.push(message);
  const log = { debug: say, info: say, warn: say, error: say };
  const check = new AccessCheck({ client: { list } as never, clock, log });
  const stop = new AbortController();
  void check.run(stop.signal);
  return { clock, state, check, stop };
}

test.each<KubeErrorKind>(["unauthorized", "forbidden"])(
  "%s for half a minute is a refusal, until it ends",
  async (kind) => {
    const { clock, state, check } = rig();
    await clock.advance(60_000);
    state.answer = kind;
    await clock.advance(29_000);
    expect(check.isRefused).toBe(false);
    await clock.advance(11_000);
    expect(check.isRefused).toBe(true);
    await clock.advance(600_000);
    expect(state.said).toHaveLength(1);
    state.answer = "ok";
    await clock.advance(10_000);
    expect(check.isRefused).toBe(false);
    expect(state.said).toHaveLength(2);
  },
);

test.each<KubeErrorKind>(["network", "timeout", "unavailable", "tooManyRequests"])("%s is none", async (kind) => {
  const { clock, state, check } = rig();
  state.answer = kind;
  await clock.advance(600_000);
  expect(check.isRefused).toBe(false);
  expect(state.said).toEqual([]);
});

test("a refusal that an answer interrupts begins anew", async () => {
  const { clock, state, check } = rig();
  for (let round = 0; round < 5; round++) {
    state.answer = "unauthorized";
    await clock.advance(20_000);
    state.answer = "ok";
    await clock.advance(10_000);
    expect(check.isRefused).toBe(false);
  }
});

test("it asks six times a minute, and no more after a stop", async () => {
  const { clock, state, stop } = rig();
  await clock.advance(60_000);
  expect(state.asked).toBe(7);
  stop.abort();
  await clock.advance(60_000);
  expect(state.asked).toBe(7);
  expect(clock.pending).toBe(0);
});
