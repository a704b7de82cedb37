import { describe } from "vitest";
import { sharedCluster } from "../cluster/shared.ts";
import { dryRunner } from "./dry-run.ts";
import { withSpec } from "./manifests.ts";
import { refuses, takes } from "./verdicts.ts";

const dryRun = dryRunner(await sharedCluster());

const rollout = (fields: object) => withSpec({ rollout: fields });
const listed = (...targets: object[]) => rollout({ mode: "Listed", targets });
const app = { kind: "Deployment", name: "app" };
const kinds = ["Deployment", "StatefulSet", "DaemonSet", "Rollout"];
const noDurations = ["", "5", "5min", "1d", "-5m", "1.5h", "5m ", "m", "30s5m", "500ms", "9999999h"];

describe("rollout", () => {
  takes(dryRun, {
    None: rollout({ mode: "None" }),
    Auto: rollout({ mode: "Auto" }),
    "Auto with durations": rollout({ mode: "Auto", minInterval: "5m", progressDeadline: "30m" }),
    "Listed with every kind": listed(...kinds.map((kind) => ({ kind, name: "app" }))),
    "Listed with fifty targets": listed(
      ...Array.from({ length: 50 }, (_, index) => ({ kind: "Deployment", name: `app-${index}` })),
    ),
  });
  const needsTargets = "rollout.targets goes with rollout.mode Listed, and Listed needs targets";
  refuses(dryRun, {
    "no mode": [rollout({}), "spec.rollout.mode", "Required value"],
    "an unknown mode": [rollout({ mode: "Manual" }), 'supported values: "None", "Auto", "Listed"'],
    "Listed without targets": [rollout({ mode: "Listed" }), "spec.rollout.targets", needsTargets],
    "Listed with an empty list": [listed(), "spec.rollout.targets", "at least 1 items"],
    "Auto with targets": [rollout({ mode: "Auto", targets: [app] }), "spec.rollout.targets", needsTargets],
    "None with targets": [rollout({ mode: "None", targets: [app] }), "spec.rollout.targets", needsTargets],
    "a target twice": [listed(app, app), "spec.rollout.targets[1]", "Duplicate value"],
    "a CronJob": [listed({ kind: "CronJob", name: "app" }), "spec.rollout.targets[0].kind", "Unsupported value"],
    "a target without a kind": [listed({ name: "app" }), "spec.rollout.targets[0].kind", "Required value"],
    "a target without a name": [listed({ kind: "Deployment" }), "spec.rollout.targets[0].name", "Required value"],
    "a target with an empty name": [listed({ ...app, name: "" }), "spec.rollout.targets[0].name"],
    "a target of another namespace": [listed({ ...app, namespace: "other" }), "unknown field"],
    "more than fifty targets": [
      listed(...Array.from({ length: 51 }, (_, index) => ({ kind: "Deployment", name: `app-${index}` }))),
      "spec.rollout.targets",
      "must have at most 50 items",
    ],
  });
});

for (const [field, within, beyond, bounds] of [
  ["minInterval", ["0s", "0h0m0s", "1m", "24h", "86400s"], ["24h1s", "999999h"], "between 0s and 24h"],
  ["progressDeadline", ["10s", "10m", "1h30m", "24h"], ["0s", "9s", "24h1s", "999999h"], "between 10s and 24h"],
] as const) {
  describe(`rollout.${field}`, () => {
    const of = (text: string) => rollout({ mode: "Auto", [field]: text });
    takes(dryRun, Object.fromEntries(within.map((text) => [text, of(text)])));
    refuses(
      dryRun,
      Object.fromEntries(
        noDurations.map((text) => [
          text === "" ? "nothing" : JSON.stringify(text),
          [of(text), `rollout.${field} must be a duration of hours, minutes and seconds, such as`],
        ]),
      ),
    );
    refuses(dryRun, Object.fromEntries(beyond.map((text) => [text, [of(text), `rollout.${field} must be ${bounds}`]])));
  });
}
