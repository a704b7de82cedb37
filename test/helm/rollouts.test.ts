import { describe, expect, test } from "vitest";
import { grantedTo, wordsOf } from "../../scripts/rights-of.ts";
import { type RolloutKind, rolloutKinds } from "../../src/api/rollout-kinds.ts";
import { releaseNamespace, render } from "./chart.ts";

const account = { namespace: releaseNamespace, name: "keyferry" };
const plurals: Record<RolloutKind, string> = {
  Deployment: "deployments.apps",
  StatefulSet: "statefulsets.apps",
  DaemonSet: "daemonsets.apps",
  Rollout: "rollouts.argoproj.io",
};
const byDefault: RolloutKind[] = ["Deployment", "StatefulSet", "DaemonSet"];
const team = { namespaces: ["a", "b"] };

async function rightsWith(values: object): Promise<string[]> {
  return grantedTo(await render(values), account)
    .map(wordsOf)
    .sort();
}

/** What `rbac.rollouts` adds to the rights of other values. */
async function added(rollouts: object, values: object = {}): Promise<string[]> {
  const without = await rightsWith(values);
  const all = await rightsWith({ ...values, rbac: { rollouts: { enabled: true, ...rollouts } } });
  expect(without.filter((right) => !all.includes(right))).toEqual([]);
  return all.filter((right) => !without.includes(right));
}

/** The rights to restart these kinds, in each of the namespaces, or by default in the cluster. */
function restarts(kinds: readonly RolloutKind[], namespaces?: string[]): string[] {
  const rights = ["list pods", "list cronjobs.batch"].concat(
    kinds.flatMap((kind) => ["list", "patch"].map((verb) => `${verb} ${plurals[kind]}`)),
  );
  const places = namespaces?.map((namespace) => ` in ${namespace}`) ?? [""];
  return places.flatMap((place) => rights.map((right) => `${right}${place}`)).sort();
}

describe("rights to restart workloads", () => {
  test.each([{}, team, { readOnly: true }])("do not exist by default, with %j", async (values) => {
    const rights = await rightsWith(values);
    expect(rights.filter((right) => /apps|argoproj|pods|batch/.test(right))).toEqual([]);
  });

  test.each(rolloutKinds.map((kind) => [kind]))("of the kind %s alone cover nothing else", async (kind) => {
    expect(await added({ kinds: [kind] })).toEqual(restarts([kind]));
  });

  test("cover the kinds of Kubernetes by default, and every kind on request", async () => {
    expect(await added({})).toEqual(restarts(byDefault));
    expect(await added({ kinds: rolloutKinds })).toEqual(restarts(rolloutKinds));
  });

  test("hold in the cluster, or in the namespaces that are asked for", async () => {
    expect(await added({ namespaces: ["b"] })).toEqual(restarts(byDefault, ["b"]));
    expect(await added({ namespaces: ["b", "c"] })).toEqual(restarts(byDefault, ["b", "c"]));
  });

  test("hold in each namespace of the operator, or in those that are asked for", async () => {
    expect(await added({}, team)).toEqual(restarts(byDefault, ["a", "b"]));
    expect(await added({ namespaces: ["b"], kinds: ["Rollout"] }, team)).toEqual(restarts(["Rollout"], ["b"]));
  });

  test.each([{}, team])("are not granted to a read-only operator, with %j", async (values) => {
    expect(await added({ kinds: rolloutKinds }, { ...values, readOnly: true })).toEqual([]);
  });

  test("need rbac.create", async () => {
    expect(await rightsWith({ rbac: { create: false, rollouts: { enabled: true } } })).toEqual([]);
  });
});
