import { describe, expect, it } from "vitest";
import type { SyncedSecret } from "../../../../src/api/types.ts";
import type { GrantAnswer } from "../../../../src/controllers/grants.ts";
import { admit, rejectedBySpec, type TargetRules } from "../../../../src/controllers/syncedsecret/decide/admission.ts";
import { interestOf } from "../../../../src/controllers/syncedsecret/decide/interest.ts";
import { Failure } from "../../../../src/runtime/failure.ts";
import { aSnapshot, entry, type SnapshotBuilder } from "./builders.ts";
import { identity, missing, served } from "./states.ts";

const one = () => aSnapshot().of({ data: [entry("A", "/a")] });
const rules: TargetRules = { protectedNamespaces: new Set(), allowedTargetMetadata: [], isTerminating: () => false };

describe("a resource is rejected by its spec", () => {
  const shop = new Set(["shop"]);
  const labelled = one().of({ target: { labels: { "argocd.argoproj.io/instance": "x" } } });

  it.each<[string, SnapshotBuilder, Partial<TargetRules>, object | undefined]>([
    ["not if nothing is wrong with it", one(), {}, undefined],
    [
      "not in another namespace than the protected ones",
      one(),
      { protectedNamespaces: new Set(["kube-system"]) },
      undefined,
    ],
    [
      "in a protected namespace",
      one(),
      { protectedNamespaces: shop },
      {
        kind: "failed",
        hasGoodSecret: false,
        problems: [
          {
            reason: "NotAllowed",
            message: "namespace shop is protected: use another namespace, or change --protected-namespaces",
          },
        ],
      },
    ],
    [
      "in a terminating namespace, without an event",
      one(),
      { isTerminating: (name) => name === "shop" },
      { kind: "failed", isQuiet: true, problems: [{ reason: "NotAllowed" }] },
    ],
    [
      "in a namespace that is terminating and protected, without an event",
      one(),
      { isTerminating: () => true, protectedNamespaces: shop },
      { isQuiet: true },
    ],
    [
      "with a label on which other programs act",
      labelled,
      {},
      { kind: "failed", problems: [{ reason: "NotAllowed" }] },
    ],
    [
      "not with a label that the operator allows",
      labelled,
      { allowedTargetMetadata: ["argocd.argoproj.io"] },
      undefined,
    ],
    ["while it is suspended", one().of({ suspend: true }), {}, { kind: "suspended" }],
    [
      "while it is suspended in a protected namespace, without a failure",
      one().of({ suspend: true }),
      { protectedNamespaces: shop },
      { kind: "suspended" },
    ],
  ])("%s", (_, given, own, outcome) => {
    const rejection = rejectedBySpec(given.facts().resource, { ...rules, ...own });
    if (!outcome) expect(rejection).toBeUndefined();
    else expect(rejection).toMatchObject({ outcome, keepsPolling: false });
  });

  it("while it is deleted, before anything else", () => {
    const { resource } = one().of({ suspend: true }).facts();
    const deleted: SyncedSecret = { ...resource, metadata: { ...resource.metadata, deletionTimestamp: "now" } };
    const rejection = rejectedBySpec(deleted, { ...rules, protectedNamespaces: shop });
    expect(rejection).toEqual({ outcome: { kind: "nothing" }, keepsPolling: false });
  });
});

describe("a resource is admitted by its connection", () => {
  const refused = (reason: "NotAllowed" | "ConnectionNotReady"): GrantAnswer => ({
    state: "refused",
    failure: new Failure(reason, "wait", "the connection does not work"),
  });
  const grantedBy = (given: SnapshotBuilder): GrantAnswer => ({ state: "granted", granted: given.facts().granted });
  const closed = one().granted({ parameters: ["/b"] });

  it.each<[string, SnapshotBuilder, GrantAnswer, boolean, object]>([
    [
      "not before its first check",
      one(),
      { state: "pending" },
      false,
      { outcome: { kind: "nothing" }, keepsPolling: true },
    ],
    [
      "not while it has failed, and polls continue",
      one(),
      refused("ConnectionNotReady"),
      true,
      { outcome: { kind: "failed", hasGoodSecret: false }, keepsPolling: true },
    ],
    ["not once it is deleted, and polls end", one(), refused("ConnectionNotReady"), false, { keepsPolling: false }],
    ["not if it denies the namespace, and polls end", one(), refused("NotAllowed"), true, { keepsPolling: false }],
    [
      "not while it has failed, though its Secret stays good",
      one().withSecret({ "/a": 3 }),
      refused("ConnectionNotReady"),
      true,
      { outcome: { hasGoodSecret: true, problems: [{ reason: "ConnectionNotReady" }] } },
    ],
    [
      "if it allows everything",
      one(),
      grantedBy(one()),
      false,
      { target: { name: "checkout" }, plan: { refused: [] } },
    ],
    [
      "not if it does not allow a parameter",
      closed,
      grantedBy(closed),
      false,
      { outcome: { kind: "failed", hasGoodSecret: false, problems: [{ reason: "NotAllowed" }] }, keepsPolling: false },
    ],
    [
      "not with a malformed ciphertext",
      one().of({ data: [{ key: "K", kms: { ciphertext: "?" } }] }),
      grantedBy(one()),
      false,
      { outcome: { problems: [{ next: "stalled" }] }, keepsPolling: false },
    ],
    [
      "not with an ARN of another region",
      one().of({ data: [entry("A", "arn:aws:ssm:us-east-1:999999999999:parameter/a")] }),
      grantedBy(one()),
      false,
      { outcome: { problems: [{ reason: "InvalidData" }] } },
    ],
  ])("%s", (_, given, grant, hasFailed, admission) => {
    expect(admit(given.facts().resource, grant, hasFailed)).toMatchObject(admission);
  });
});

describe("a reconcile subscribes", () => {
  const once = () => one().of({ refresh: { policy: "Once" } });
  const owner = {
    apiVersion: "keyferry.io/v1alpha1",
    kind: "SyncedSecret",
    name: "checkout",
    uid: "uid-0",
    controller: true,
  };

  it.each<[string, SnapshotBuilder, string[] | undefined]>([
    ["to every source", one(), ["/a"]],
    ["to every source of a current Secret", one().withSecret({ "/a": 3 }), ["/a"]],
    ["to nothing for another owner's Secret", one().withOtherSecret({}), []],
    ["to nothing for a Secret that Merge does not find", one().of({ target: { creationPolicy: "Merge" } }), []],
    [
      "as before while the garbage collector has to delete the Secret",
      one().withOtherSecret({ ownerReferences: [owner] }),
      undefined,
    ],
    ["to every source of a new Secret under Once", once(), ["/a"]],
    ["to nothing for a Secret under Once", once().withSecret({ "/a": 3 }), []],
    ["to nothing for an edited Secret under Once", once().withSecret({ "/a": 3 }, { edited: ["A"] }), []],
    [
      "to nothing for a Secret of a newer release under Once",
      once().withSecret({ "/a": 3 }, { revision: "9.x.y" }),
      [],
    ],
    [
      "to every source of a Secret under Once of which the versions are unknown",
      once().withSecret({ "/a": 3 }).withStatus(),
      ["/a"],
    ],
    ["to every source on a refresh request under Once", once().withSecret({ "/a": 3 }).refreshing(), ["/a"]],
  ])("%s", (_, given, names) => {
    const interest = interestOf(given.facts());
    expect(interest?.map(({ reference }) => reference.kind === "parameter" && reference.name)).toEqual(names);
  });

  it.each<[string, SnapshotBuilder, object]>([
    ["with the connection's interval", one(), { pollIntervalMs: 300_000, actsOnExpiry: false }],
    ["with its own interval", one().of({ refresh: { pollInterval: "10m" } }), { pollIntervalMs: 600_000 }],
    [
      "with the connection's interval at least",
      one().of({ refresh: { pollInterval: "10s" } }),
      { pollIntervalMs: 300_000 },
    ],
    ["without polls under Once", once(), { pollIntervalMs: Infinity }],
    [
      "with expiries under whenExpired DeleteKeys",
      one().of({ refresh: { whenExpired: "DeleteKeys" } }),
      { actsOnExpiry: true },
    ],
    [
      "with expiries under whenExpired DeleteSecret",
      one().of({ refresh: { whenExpired: "DeleteSecret" } }),
      { actsOnExpiry: true },
    ],
    [
      "without expiries under whenExpired Retain",
      one().of({ refresh: { whenExpired: "Retain" } }),
      { actsOnExpiry: false },
    ],
    ["with the version that the status names", one().withSecret({ "/a": 3 }), { stored: { version: 3 } }],
    ["with the identity of the connection", one(), { reference: { identity: { key: identity.key } } }],
  ])("%s", (_, given, subscription) => expect(interestOf(given.facts())).toMatchObject([subscription]));

  it("without the members of a path that DeleteKeys has dropped", () => {
    const path = aSnapshot().of({ dataFrom: [{ path: { name: "/p" } }], refresh: { whenMissing: "DeleteKeys" } });
    const { leaves } = interestOf(path.facts())![0]!;
    expect([missing("gone", 1), missing("suspect", 1), served(1)].map((state) => leaves!(state))).toEqual([
      true,
      false,
      false,
    ]);
  });
});
