import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { blocksOf, page } from "../docs/pages.ts";
import { readRecorded } from "../upgrade/recorded.ts";
import { kstatusOf, type Resource } from "./kstatus.ts";
import { healthOf } from "./lua.ts";

/** What Argo CD, with the script of docs/gitops.md, and Flux make of the conditions. */

const configMap = blocksOf(page("docs/gitops.md")).find(({ text }) => text.includes("health.lua"))!;
const { data } = parse(configMap.text) as { data: Record<string, string> };
const script = (parse(data["resource.customizations"]!) as Record<string, Record<string, string>>)["keyferry.io/*"]![
  "health.lua"
]!;

const condition = (type: string, status: string, reason: string) => ({ type, status, reason, message: `of ${reason}` });
const resource = (conditions: ReturnType<typeof condition>[] | undefined, more: object = {}): Resource => ({
  kind: "SyncedSecret",
  metadata: { generation: 2 },
  spec: {},
  ...(conditions ? { status: { observedGeneration: 2, conditions } } : {}),
  ...more,
});
const synced = condition("Ready", "True", "Synced");
const failed = (reason: string) => condition("Ready", "False", reason);

describe.each([
  ["synced", resource([synced]), "Healthy", "Current"],
  [
    "synced, with a warning",
    resource([condition("KeyAtRisk", "True", "KeyPendingDeletion"), synced]),
    "Healthy",
    "Current",
  ],
  [
    "a spec that cannot work",
    resource([failed("InvalidData"), condition("Stalled", "True", "InvalidData")]),
    "Degraded",
    "Failed",
  ],
  ["a missing parameter", resource([failed("ParameterNotFound")]), "Degraded", "InProgress"],
  [
    "throttled",
    resource([failed("Throttled"), condition("Reconciling", "True", "Throttled")]),
    "Progressing",
    "InProgress",
  ],
  [
    "a first sync that lasts",
    resource([condition("Ready", "Unknown", "Pending"), condition("Reconciling", "True", "Pending")]),
    "Progressing",
    "InProgress",
  ],
  [
    "a change that the operator has not seen",
    resource([synced], { metadata: { generation: 3 } }),
    "Progressing",
    "InProgress",
  ],
  [
    "suspended",
    resource([condition("Ready", "Unknown", "Suspended")], { spec: { suspend: true } }),
    "Suspended",
    "InProgress",
  ],
])("%s", (_, object, argo, flux) => {
  it(`is ${argo} in Argo CD`, () => {
    expect(healthOf(script, object).status).toBe(argo);
  });
  it(`is ${flux} for Flux`, () => {
    expect(kstatusOf(object)).toBe(flux);
  });
});

it("Argo CD waits for a resource that the operator has not seen", () => {
  expect(healthOf(script, resource(undefined))).toEqual({ status: "Progressing", message: "Waiting for the operator" });
});

it("the message in Argo CD is the condition's", () => {
  expect(healthOf(script, resource([failed("ParameterNotFound")])).message).toBe(
    "ParameterNotFound: of ParameterNotFound",
  );
});

it("of resources that an operator has left, all but those without a parameter are healthy and current", () => {
  const { objects } = readRecorded("two-replicas");
  const left = objects.filter(({ kind }) => kind === "SyncedSecret") as unknown as (Resource & {
    metadata: { name: string };
  })[];
  expect(left.length).toBeGreaterThan(10);
  for (const one of left) {
    const isMissing = one.metadata.name.startsWith("missing-");
    expect(healthOf(script, one).status, one.metadata.name).toBe(isMissing ? "Degraded" : "Healthy");
    expect(kstatusOf(one), one.metadata.name).toBe(isMissing ? "InProgress" : "Current");
  }
});
