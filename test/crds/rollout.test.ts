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

describe("rollout.first, bake, order and onFailure", () => {
  const canary = { first: [app] };
  takes(dryRun, {
    "all of them": rollout({ mode: "Auto", ...canary, bake: "0s", order: "OneByOne", onFailure: "Continue" }),
    "first alone": rollout({ mode: "Auto", ...canary }),
    "a revert": rollout({ mode: "Auto", onFailure: "Revert" }),
    "order without first": rollout({ mode: "Auto", order: "Parallel" }),
  });
  refuses(dryRun, {
    "bake without first": [
      rollout({ mode: "Auto", bake: "1m" }),
      "spec.rollout.bake",
      "rollout.bake needs rollout.first",
    ],
    "a bake of days": [rollout({ mode: "Auto", ...canary, bake: "25h" }), "rollout.bake must be between 0s and 24h"],
    "an empty first": [rollout({ mode: "Auto", first: [] }), "spec.rollout.first", "at least 1 items"],
    "a workload twice": [rollout({ mode: "Auto", first: [app, app] }), "spec.rollout.first[1]", "Duplicate value"],
    "an unknown order": [rollout({ mode: "Auto", order: "Random" }), 'supported values: "Parallel", "OneByOne"'],
    "another onFailure": [
      rollout({ mode: "Auto", onFailure: "Undo" }),
      'supported values: "Continue", "Pause", "Revert"',
    ],
    "a revert of a Secret that does not change": [
      withSpec({ rollout: { mode: "Auto", onFailure: "Revert" }, refresh: { policy: "Once" } }),
      "spec.rollout.onFailure Revert needs spec.refresh.policy Follow",
    ],
  });
});

for (const [field, of] of [
  ["rollout.windows", (windows: object[]) => rollout({ mode: "Auto", windows })],
  ["refresh.windows", (windows: object[]) => withSpec({ refresh: { windows } })],
] as const) {
  describe(field, () => {
    const window = { schedule: "0 2 * * 1-5", duration: "2h" };
    takes(dryRun, {
      "a window": of([window]),
      "one with a time zone": of([{ ...window, timeZone: "America/Argentina/Buenos_Aires" }]),
      "names of days and steps": of([{ ...window, schedule: "*/15 0-6,22 * JAN-MAR MON-FRI" }]),
      none: of([]),
    });
    refuses(dryRun, {
      "six fields": [of([{ ...window, schedule: "0 0 2 * * *" }]), `${field}.schedule must be a cron expression`],
      "a name for a schedule": [
        of([{ ...window, schedule: "@midnight" }]),
        `${field}.schedule must be a cron expression`,
      ],
      "no duration": [of([{ schedule: "0 2 * * *" }]), "duration", "Required value"],
      "a duration of seconds": [of([{ ...window, duration: "59s" }]), `${field}.duration must be between 1m and 168h`],
      "a time zone with spaces": [of([{ ...window, timeZone: "Central European Time" }]), "timeZone"],
      "eleven windows": [of(Array(11).fill(window)), "must have at most 10 items"],
    });
  });
}

describe("refresh.approval and refresh.windowOverride", () => {
  const refresh = (fields: object) => withSpec({ refresh: fields });
  const window = { schedule: "0 2 * * 1-5", duration: "2h" };
  takes(dryRun, {
    Manual: refresh({ approval: "Manual" }),
    "Automatic under Once": refresh({ policy: "Once", approval: "Automatic" }),
    "both with an override": refresh({ approval: "Manual", windows: [window], windowOverride: "None" }),
  });
  const needsFollow = "refresh.windows and refresh.approval Manual need refresh.policy Follow";
  refuses(dryRun, {
    "Manual under Once": [refresh({ policy: "Once", approval: "Manual" }), "spec.refresh.policy", needsFollow],
    "windows under Once": [refresh({ policy: "Once", windows: [window] }), "spec.refresh.policy", needsFollow],
    "an unknown override": [refresh({ windowOverride: "Always" }), 'supported values: "Expiry", "None"'],
  });
});
