import { describe } from "vitest";
import { sharedCluster } from "../cluster/shared.ts";
import { dryRunner } from "./dry-run.ts";
import { connection, withSpec } from "./manifests.ts";
import { refuses, takes } from "./verdicts.ts";

const dryRun = dryRunner(await sharedCluster());

const refresh = (fields: object) => withSpec({ refresh: fields });
const durations = ["10s", "30s", "5m", "1h30m", "90m", "24h", "1h0m1s", "86400s"];
const noDurations = ["", "5", "5min", "1d", "-5m", "1.5h", "5m ", "5 m", "m", "30s5m", "500ms", "9999999h", "P1D"];
const outOfBounds = ["9s", "0s", "24h1s", "999999h"];

describe("refresh", () => {
  takes(dryRun, {
    nothing: refresh({}),
    everything: refresh({
      policy: "Follow",
      pollInterval: "1m",
      staleAfter: "10m",
      whenMissing: "DeleteKeys",
      whenExpired: "DeleteSecret",
    }),
    Once: refresh({ policy: "Once" }),
    "a staleAfter of 20s": refresh({ staleAfter: "20s" }),
    "a staleAfter of a week": refresh({ staleAfter: "168h" }),
    "a staleAfter just longer than pollInterval": refresh({ pollInterval: "1m", staleAfter: "61s" }),
  });
  refuses(dryRun, {
    "an unknown policy": [refresh({ policy: "Always" }), 'supported values: "Follow", "Once"'],
    "an unknown whenMissing": [refresh({ whenMissing: "Delete" }), '"Retain", "DeleteKeys", "DeleteSecret"'],
    "an unknown whenExpired": [refresh({ whenExpired: "Delete" }), '"Retain", "DeleteKeys", "DeleteSecret"'],
    "a staleAfter of 19s": [refresh({ staleAfter: "19s" }), "refresh.staleAfter must be between 20s and 168h"],
    "a staleAfter over a week": [refresh({ staleAfter: "168h1s" }), "refresh.staleAfter must be between 20s and 168h"],
    "a staleAfter that is not a duration": [
      refresh({ staleAfter: "1d" }),
      "refresh.staleAfter must be a duration of hours",
    ],
    "a staleAfter as long as pollInterval": [
      refresh({ pollInterval: "1m", staleAfter: "60s" }),
      "spec.refresh.staleAfter",
      "refresh.staleAfter must be longer than refresh.pollInterval, which is 1m",
    ],
  });
});

describe("connectionRef", () => {
  takes(dryRun, {
    "a cluster connection": withSpec({ connectionRef: { kind: "ClusterAWSConnection", name: "default" } }),
    "a connection of the namespace": withSpec({ connectionRef: { kind: "AWSConnection", name: "aws.v1" } }),
  });
  refuses(dryRun, {
    "an unknown kind": [
      withSpec({ connectionRef: { kind: "Secret", name: "x" } }),
      "connectionRef.kind",
      "supported values",
    ],
    "a name without a kind": [withSpec({ connectionRef: { name: "x" } }), "spec.connectionRef.kind", "Required value"],
    "a name of another namespace": [
      withSpec({ connectionRef: { kind: "AWSConnection", name: "other/aws" } }),
      "connectionRef.name must be the name of a connection",
    ],
    "a namespace": [withSpec({ connectionRef: { kind: "AWSConnection", name: "x", namespace: "y" } }), "unknown field"],
  });
});

for (const [field, make] of [
  ["refresh.pollInterval", refresh],
  ["pollInterval", connection],
] as const) {
  describe(`${field} of ${make === connection ? "a connection" : "a SyncedSecret"}`, () => {
    takes(dryRun, Object.fromEntries(durations.map((text) => [text, make({ pollInterval: text })])));
    refuses(
      dryRun,
      Object.fromEntries(
        noDurations.map((text) => [
          text === "" ? "nothing" : JSON.stringify(text),
          [make({ pollInterval: text }), `${field} must be a duration of hours, minutes and seconds, such as 30s`],
        ]),
      ),
    );
    refuses(
      dryRun,
      Object.fromEntries(
        outOfBounds.map((text) => [text, [make({ pollInterval: text }), `${field} must be between 10s and 24h`]]),
      ),
    );
  });
}
