import { expect, it } from "vitest";
import type { Summary } from "../../../../src/controllers/syncedsecret/report/summarize.ts";
import { TransitionLog } from "../../../../src/controllers/syncedsecret/report/transition-log.ts";
import { FakeClock } from "../../../support/clock.ts";

const condition = (status: string, reason: string) => ({ type: "Ready", status, reason, message: `because ${reason}` });

/** A log that keeps its lines, and a function that notes a SyncedSecret's turn from one status of Ready to another. */
function rig() {
  const clock = new FakeClock();
  const lines: [string, object, string][] = [];
  const keep = (level: string) => (fields: object, message: string) => void lines.push([level, fields, message]);
  const log = { debug: keep("debug"), info: keep("info"), warn: keep("warn"), error: keep("error") };
  const transitions = new TransitionLog({ clock, log });
  const turn = (
    key: string,
    from: string | undefined,
    to: "True" | "False",
    reason = to === "True" ? "Synced" : "Throttled",
  ) => {
    const before = from === undefined ? {} : { status: { conditions: [condition(from, "Pending")] } };
    const resource = { apiVersion: "keyferry.io/v1alpha1", kind: "SyncedSecret", metadata: {}, spec: {}, ...before };
    const status = { conditions: [condition(to, reason)] };
    transitions.note(key, resource as never, { status, ready: to, reason } as unknown as Summary);
  };
  return { clock, lines, turn };
}

it("logs a SyncedSecret once when Ready turns False, with reason and message, and once when it is True again", () => {
  const { lines, turn } = rig();
  turn("shop/a", "True", "False");
  turn("shop/a", "False", "False");
  turn("shop/a", "False", "True");
  turn("shop/a", "True", "True");
  expect(lines).toEqual([
    ["warn", { syncedSecret: "shop/a", reason: "Throttled", message: "because Throttled" }, "not ready"],
    ["info", { syncedSecret: "shop/a" }, "ready again"],
  ]);
});

it("logs a first sync that fails, and none that succeeds", () => {
  const { lines, turn } = rig();
  turn("shop/a", undefined, "False", "ParameterNotFound");
  turn("shop/b", undefined, "True");
  turn("shop/c", "Unknown", "True");
  expect(lines.map(([level]) => level)).toEqual(["warn"]);
});

it("counts those beyond twenty a minute in one line by reason, and then begins again", async () => {
  const { clock, lines, turn } = rig();
  for (let at = 0; at < 1_000; at++) turn(`shop/${at}`, "True", "False", at % 2 ? "Throttled" : "Unreachable");
  expect(lines).toHaveLength(20);
  await clock.advance(60_000);
  expect(lines.slice(20)).toEqual([
    ["warn", { reasons: { Unreachable: 490, Throttled: 490 } }, "more SyncedSecrets are not ready"],
  ]);
  turn("shop/next", "True", "False");
  expect(lines).toHaveLength(22);
  await clock.advance(60_000);
  expect(lines).toHaveLength(22);
  expect(clock.pending).toBe(0);
});
