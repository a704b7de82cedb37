import { beforeEach, describe, expect, test } from "vitest";
import { AwsFailure } from "../../src/aws/failure.ts";
import type { Identity } from "../../src/aws/identity.ts";
import type { KeyDescription } from "../../src/aws/kms.ts";
import { KeyWatch } from "../../src/ciphertexts/key-watch.ts";
import { Metrics } from "../../src/metrics/metrics.ts";
import { FakeClock, settle } from "../support/clock.ts";

const minute = 60_000;
const hour = 60 * minute;
const arn = (n = 1) => `arn:aws:kms:eu-west-1:123456789012:key/0000000${n}`;
const identity = { key: "one" } as Identity;
const stranger = { key: "two" } as Identity;
const usable: Omit<KeyDescription, "arn"> = { state: "Enabled", usage: "ENCRYPT_DECRYPT", spec: "SYMMETRIC_DEFAULT" };

let clock: FakeClock;
let metrics: Metrics;
let watch: KeyWatch;
let looks: string[];
let changes: string[];
let lines: string[];
let answer: (keyId: string) => Promise<KeyDescription>;

const failing =
  (reason: "AccessDenied" | "Throttled" | "KeyUnavailable", next: "wait" | "retry", code = "X") =>
  async () => {
    throw new AwsFailure({ reason, next, code, message: "said" });
  };
const is = (part: Partial<KeyDescription>) => async (keyId: string) => ({ ...usable, arn: keyId, ...part });
const pass = async (ms: number) => {
  await clock.advance(ms);
  await settle(5);
};
const series = async (name: "keyDeletion" | "keyMaterialExpiration") => {
  await metrics.registry.metrics();
  return (await metrics[name].get()).values.map(({ labels, value }) => [labels.key, value]);
};

beforeEach(() => {
  clock = new FakeClock(Date.UTC(2026, 10, 24));
  metrics = new Metrics();
  [looks, changes, lines] = [[], [], []];
  answer = is({});
  const say = (_: object, message: string) => void lines.push(message);
  watch = new KeyWatch({
    describe: (who, keyId, lane) => {
      looks.push(`${who.key} ${keyId} ${lane}`);
      return answer(keyId);
    },
    ...{ clock, metrics, log: { debug: say, info: say, warn: say, error: say } },
    changed: (dependants, lane) => void changes.push(`${dependants.join("+")} ${lane}`),
  });
});

describe("a key in use", () => {
  test("is described within five minutes and then hourly, whatever the number of its users", async () => {
    for (const name of ["a", "b", "c"]) watch.depend(name, identity, [arn()]);
    expect(watch.findings("a")).toEqual({ risks: [], unseen: [arn()] });
    await pass(5 * minute);
    expect(looks).toEqual([`one ${arn()} poll`]);
    expect(watch.findings("a")).toEqual({ risks: [], unseen: [] });
    // A condition that an earlier process set may have to be cleared.
    expect(changes).toEqual(["a+b+c bulk"]);
    for (let step = 0; step < 10; step++) await pass(hour);
    expect(looks).toHaveLength(11);
    expect(changes).toHaveLength(1);
  });

  test("is no longer described once it has no users, and leaves no timer", async () => {
    watch.depend("a", identity, [arn(1), arn(2)]);
    watch.depend("a", identity, [arn(2)]);
    await pass(5 * minute);
    expect(looks).toEqual([`one ${arn(2)} poll`]);
    watch.depend("a", undefined, []);
    expect(clock.pending).toBe(0);
    expect(watch.findings("a")).toEqual({ risks: [], unseen: [] });
  });

  test("is described separately for each identity that uses it", async () => {
    watch.depend("a", identity, [arn()]);
    watch.depend("b", stranger, [arn()]);
    answer = is({ state: "Disabled" });
    await watch.announced(new Set(["one"]), arn());
    expect(looks).toEqual([`one ${arn()} event`]);
    expect(watch.findings("a").risks).toHaveLength(1);
    expect(watch.findings("b")).toEqual({ risks: [], unseen: [arn()] });
  });

  test("is described again in five minutes after an internal error, whose message is not logged", async () => {
    watch.depend("a", identity, [arn()]);
    answer = () => {
      throw new TypeError("c4n4ry");
    };
    await pass(5 * minute);
    expect(await watch.announced(new Set(["one"]), arn())).toMatchObject({ isHeard: false });
    expect(lines).toEqual(Array(2).fill("a look at a key failed; it is tried again"));
    expect(watch.findings("a").unseen).toEqual([arn()]);
    answer = is({ state: "Disabled" });
    await pass(5 * minute);
    expect(looks).toHaveLength(3);
    expect(watch.findings("a").risks).toHaveLength(1);
  });

  test("notifies its users when a risk begins and ends, and not in between", async () => {
    watch.depend("a", identity, [arn()]);
    await pass(5 * minute);
    changes = [];
    await pass(hour);
    expect(changes).toEqual([]);
    answer = is({ state: "PendingDeletion", deletionAt: clock.now() + 7 * 24 * hour });
    await pass(hour);
    expect(changes).toEqual(["a bulk"]);
    expect(watch.findings("a").risks[0]).toMatchObject({ reason: "KeyPendingDeletion" });
    expect(await series("keyDeletion")).toEqual([[arn(), expect.any(Number)]]);
    await pass(3 * hour);
    expect(changes).toHaveLength(1);
    answer = is({});
    await pass(hour);
    expect(changes).toHaveLength(2);
    expect(watch.findings("a")).toEqual({ risks: [], unseen: [] });
    expect(await series("keyDeletion")).toEqual([]);
  });

  test("is reported when its material is about to expire, though the answer of KMS is unchanged", async () => {
    const validTo = clock.now() + 7 * 24 * hour + 90 * minute;
    answer = is({ validTo });
    watch.depend("a", identity, [arn()]);
    await pass(5 * minute);
    expect(watch.findings("a").risks).toEqual([]);
    expect(await series("keyMaterialExpiration")).toEqual([[arn(), validTo / 1_000]]);
    await pass(hour);
    await pass(hour);
    expect(watch.findings("a").risks[0]).toMatchObject({ reason: "KeyMaterialExpiring" });
  });

  test("is described again a day after a denial, which is logged once", async () => {
    answer = failing("AccessDenied", "wait");
    watch.depend("a", identity, [arn()]);
    for (let step = 0; step < 23; step++) await pass(hour);
    expect(looks).toHaveLength(1);
    for (let step = 0; step < 48; step++) await pass(hour);
    expect(looks).toHaveLength(3);
    expect(lines).toHaveLength(1);
    expect(changes).toEqual([]);
    expect(watch.findings("a")).toEqual({ risks: [], unseen: [arn()] });
    answer = is({ state: "Disabled" });
    for (let step = 0; step < 24; step++) await pass(hour);
    expect(changes).toEqual(["a bulk"]);
  });

  test("is described again five minutes after AWS fails to answer, and keeps its last known state", async () => {
    answer = is({ state: "Disabled" });
    watch.depend("a", identity, [arn()]);
    await pass(5 * minute);
    const known = watch.findings("a");
    answer = failing("Throttled", "retry");
    await pass(hour);
    const before = looks.length;
    await pass(5 * minute);
    expect(looks).toHaveLength(before + 1);
    expect(watch.findings("a")).toEqual(known);
    expect(changes).toHaveLength(1);
  });

  test("is reported when it no longer exists", async () => {
    answer = failing("KeyUnavailable", "wait", "NotFoundException");
    watch.depend("a", identity, [arn()]);
    await pass(5 * minute);
    expect(watch.findings("a")).toMatchObject({ unseen: [], risks: [{ reason: "KeyUnavailable" }] });
  });
});

describe("an event", () => {
  test("causes an immediate look, by whatever name the key is used", async () => {
    answer = async (keyId) => ({ ...usable, arn: keyId === arn(2) ? arn(2) : arn() });
    watch.depend("a", identity, ["alias/a"]);
    watch.depend("b", identity, ["00000001"]);
    watch.depend("c", identity, [arn(2)]);
    await pass(5 * minute);
    looks = [];
    answer = is({ arn: arn(), state: "Disabled" });
    const heard = await watch.announced(new Set(["one"]), arn());
    expect(looks.sort()).toEqual(["one 00000001 event", "one alias/a event"]);
    expect(heard).toEqual({ isHeard: true, dependants: ["a", "b"] });
    expect(changes.slice(-2).sort()).toEqual(["a event", "b event"]);
  });

  test("is not acknowledged if AWS does not answer its look", async () => {
    watch.depend("a", identity, [arn()]);
    answer = failing("Throttled", "retry");
    expect(await watch.announced(new Set(["one"]), arn())).toEqual({ isHeard: false, dependants: ["a"] });
  });

  test("about an unused key causes no call", async () => {
    watch.depend("a", identity, [arn()]);
    expect(await watch.announced(new Set(["one"]), arn(2))).toEqual({ isHeard: true, dependants: [] });
    expect(looks).toEqual([]);
  });

  test("during a look causes another look after it", async () => {
    const answers: (() => void)[] = [];
    let state = "Enabled";
    answer = (keyId) =>
      new Promise((resolve) => answers.push(() => resolve({ ...usable, arn: keyId, state: "Enabled" })));
    watch.depend("a", identity, [arn()]);
    await pass(5 * minute);
    expect(looks).toHaveLength(1);
    state = "Disabled";
    answer = async (keyId) => ({ ...usable, arn: keyId, state });
    const heard = watch.announced(new Set(["one"]), arn());
    answers[0]!();
    await heard;
    expect(looks).toHaveLength(2);
    expect(watch.findings("a").risks).toHaveLength(1);
  });
});

test("spreads the first looks at many keys over minutes", async () => {
  const names = Array.from({ length: 100 }, (_, n) => arn(n));
  watch.depend("a", identity, names);
  for (let step = 0; step < 5; step++) {
    const before = looks.length;
    await pass(minute);
    expect(looks.length - before).toBeGreaterThan(5);
    expect(looks.length - before).toBeLessThan(45);
  }
  expect(new Set(looks).size).toBe(100);
});
