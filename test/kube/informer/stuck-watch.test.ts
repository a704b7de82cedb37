import { describe, expect, test } from "vitest";
import { KubeError } from "../../../src/kube/errors.ts";
import type { ListWatch } from "../../../src/kube/informer/list-watch.ts";
import { stuckAfterMs, stuckWatch } from "../../../src/kube/informer/stuck-watch.ts";
import { secrets, syncedSecrets } from "../../../src/kube/resource.ts";
import { FakeClock, settle } from "../../support/clock.ts";
import { widgets } from "../../support/widgets.ts";
import { rig } from "./reflector-rig.ts";

const minute = 60_000;

describe("a watch is stuck", () => {
  const at = (steppedAt: number | undefined, namespace?: string) => ({ resource: secrets, namespace, steppedAt });

  test("if it has made no step for longer than the bound", () => {
    expect(stuckWatch([at(1_000)], 1_000 + stuckAfterMs)).toBeUndefined();
    expect(stuckWatch([at(1_000)], 1_001 + stuckAfterMs)).toBe("the watch of secrets is stuck: no step for 300 s");
  });

  test("in the namespace that is named, the longest first", () => {
    const watches = [at(5_000), at(2_000, "shop"), { resource: syncedSecrets, steppedAt: 3_000 }];
    const message = "the watch of secrets in namespace shop is stuck: no step for 400 s";
    expect(stuckWatch(watches, 402_000)).toBe(message);
  });

  test("only while it runs", () => {
    expect(stuckWatch([at(undefined)], 10 * stuckAfterMs)).toBeUndefined();
    expect(stuckWatch([], 10 * stuckAfterMs)).toBeUndefined();
  });
});

const never = () => new Promise<never>(() => {});
const failing = (error: KubeError) => async () => {
  throw error;
};
const silence: AsyncIterable<Uint8Array> = { [Symbol.asyncIterator]: () => ({ next: never }) };
const listed: ListWatch["list"] = async () => ({ items: [], resourceVersion: "10" });

/** API servers that do not work, as a reflector experiences them. */
const servers: [string, ListWatch][] = [
  ["refuses connections", { list: failing(new KubeError("network", "x", { code: "ECONNREFUSED" })), watch: never }],
  ["takes requests and never answers", { list: never, watch: never }],
  ["lists, and begins no watch", { list: listed, watch: never }],
  ["lists, and sends no byte of a watch", { list: listed, watch: async () => silence }],
  [
    "throttles with a Retry-After of an hour",
    { list: failing(new KubeError("tooManyRequests", "x", { status: 429, retryAfterMs: 60 * minute })), watch: never },
  ],
  ["refuses the credentials", { list: failing(new KubeError("unauthorized", "x", { status: 401 })), watch: never }],
];

describe("a reflector", () => {
  test.each(servers)("is not stuck while the API server %s", async (_, source) => {
    const { clock, reflector } = await rig({ source, random: () => 0.99 });
    for (let seconds = 0; seconds < 3_600; seconds += 5) {
      await clock.advance(5_000);
      expect(stuckWatch([reflector.progress], clock.monotonic())).toBeUndefined();
    }
  });

  test("is not stuck while a watch of hours has only bytes without a line", async () => {
    const clock = new FakeClock();
    async function* drops(): AsyncGenerator<Uint8Array> {
      for (;;) {
        await new Promise<void>((resolve) => clock.setTimer(resolve, 100_000));
        yield Buffer.from(" ");
      }
    }
    const { reflector } = await rig({ source: { list: listed, watch: async () => drops() }, clock });
    for (let minutes = 0; minutes < 120; minutes++) {
      await clock.advance(minute);
      expect(stuckWatch([reflector.progress], clock.monotonic())).toBeUndefined();
    }
  });

  test("is stuck if its delay never ends, and is not after it has stopped", async () => {
    /** A clock that loses its timers. */
    class BrokenClock extends FakeClock {
      override setTimer() {
        return { cancel() {} };
      }
    }
    const clock = new BrokenClock();
    const { reflector, stop, ended } = await rig({ source: servers[0]![1], clock });
    await settle();
    await clock.advance(stuckAfterMs);
    expect(stuckWatch([reflector.progress], clock.monotonic())).toBeUndefined();
    await clock.advance(1_000);
    expect(stuckWatch([reflector.progress], clock.monotonic())).toBe(
      `the watch of ${widgets.plural} is stuck: no step for 301 s`,
    );
    stop.abort();
    await ended;
    expect(stuckWatch([reflector.progress], clock.monotonic())).toBeUndefined();
  });
});
