import type { RolloutKind } from "../src/api/rollout-kinds.ts";

/** A switch of the chart's values that changes what the operator may do. */
export interface Feature {
  /** The value that turns it on, as docs name it. */
  name: string;
  /** Values without it, and with it. The difference between both is what it grants. */
  off: object;
  on: object;
  /** The scopes that have it. Default: both. */
  only?: Scope;
}

export type Scope = "cluster" | "namespaces";

/** The values of each scope. The names stand for those of a user, as scripts/rbac-of.ts says. */
export const scopes: Record<Scope, object> = {
  cluster: { scope: "cluster" },
  namespaces: { scope: "namespaces", namespaces: ["each"], defaultConnection: "connection/default" },
};

const alone = { replicas: 1, strategy: { type: "Recreate" }, leaderElection: { enabled: false } };

/** Restarts of workloads. @param kinds default: those of the chart */
function rollouts(kinds?: readonly RolloutKind[]): object {
  return { rbac: { rollouts: { enabled: true, ...(kinds && { kinds }) } } };
}

/** What every installation has: a read-only operator. */
export const always: object = { readOnly: true };

/** Every switch, each on top of those before it that are on by default. */
export const features: readonly Feature[] = [
  { name: "readOnly: false", off: always, on: alone },
  { name: "leaderElection.enabled", off: alone, on: {} },
  { name: "leaderElection.shards", off: {}, on: { leaderElection: { shards: 2 } } },
  { name: "aws.region", off: {}, on: { aws: { region: "eu-west-1" } }, only: "cluster" },
  {
    name: "rbac.serviceAccountTokens.enabled",
    off: {},
    on: { rbac: { serviceAccountTokens: { enabled: true } } },
  },
  { name: "rbac.rollouts.enabled", off: {}, on: rollouts() },
  { name: "rbac.rollouts.kinds: [Rollout]", off: rollouts(), on: rollouts(["Rollout"]) },
  { name: "metrics.secure.enabled", off: {}, on: { metrics: { secure: { enabled: true } } } },
];
