import { describe, expect, test } from "vitest";
import { compareRights, grantedTo, type Right, usedBy, wordsOf } from "../../scripts/rights-of.ts";
import type { Rendered } from "../helm/chart.ts";

const request = { verb: "get", group: "", resource: "secrets", namespace: "shop", name: "a", code: 200 };
const right: Right = { namespace: "shop", resource: "secrets", verb: "get", name: "" };

describe("the rights that requests have used", () => {
  test("name the resource with its group and subresource", () => {
    const status = { ...request, verb: "patch", group: "keyferry.io", resource: "syncedsecrets/status" };
    expect(usedBy([request, status]).map(wordsOf)).toEqual([
      "get secrets a in shop",
      "patch syncedsecrets.keyferry.io/status a in shop",
    ]);
  });

  test("include create for an apply that created its object", () => {
    const apply = { ...request, verb: "patch" };
    expect(usedBy([{ ...apply, code: 201 }]).map(wordsOf)).toEqual([
      "patch secrets a in shop",
      "create secrets in shop",
    ]);
    expect(usedBy([apply]).map(wordsOf)).toEqual(["patch secrets a in shop"]);
  });

  test("have no name for a creation, except of a subresource", () => {
    const created = { ...request, verb: "create", code: 201 };
    expect(usedBy([created])).toEqual([{ ...right, verb: "create" }]);
    const token = { ...created, resource: "serviceaccounts/token" };
    expect(usedBy([token]).map(wordsOf)).toEqual(["create serviceaccounts/token a in shop"]);
  });
});

describe("the rights that objects grant", () => {
  const account = { namespace: "ops", name: "keyferry" };
  const rules = [
    { apiGroups: ["", "x.io"], resources: ["things"], verbs: ["get", "list"], resourceNames: ["a", "b"] },
    { nonResourceURLs: ["/metrics"], verbs: ["get"] },
  ];
  const object = (kind: string, namespace: string | undefined, rest: object): Rendered =>
    ({ apiVersion: "rbac.authorization.k8s.io/v1", kind, metadata: { name: "r", namespace }, ...rest }) as Rendered;
  const binding = (kind: string, role: string, namespace?: string, subject: object = account) =>
    object(kind, namespace, { roleRef: { kind: role, name: "r" }, subjects: [{ kind: "ServiceAccount", ...subject }] });

  test("are those of each bound role, by namespace, resource, verb and name", () => {
    const objects = [object("ClusterRole", undefined, { rules }), binding("ClusterRoleBinding", "ClusterRole")];
    expect(grantedTo(objects, account).map(wordsOf)).toEqual([
      "get things a",
      "get things b",
      "list things a",
      "list things b",
      "get things.x.io a",
      "get things.x.io b",
      "list things.x.io a",
      "list things.x.io b",
      "get /metrics",
    ]);
  });

  test("are limited to the namespace of a RoleBinding, also for a ClusterRole", () => {
    const one = [{ apiGroups: [""], resources: ["secrets"], verbs: ["get"] }];
    const role = [object("Role", "shop", { rules: one }), binding("RoleBinding", "Role", "shop")];
    const clusterRole = [
      object("ClusterRole", undefined, { rules: one }),
      binding("RoleBinding", "ClusterRole", "web"),
    ];
    expect(grantedTo([...role, ...clusterRole], account).map(wordsOf)).toEqual([
      "get secrets in shop",
      "get secrets in web",
    ]);
  });

  test("leave out roles that nobody or somebody else is bound to", () => {
    const other = binding("ClusterRoleBinding", "ClusterRole", undefined, { namespace: "ops", name: "other" });
    expect(grantedTo([object("ClusterRole", undefined, { rules }), other], account)).toEqual([]);
  });

  test("are an error if a binding names a role that is missing", () => {
    expect(() => grantedTo([binding("RoleBinding", "Role", "shop")], account)).toThrow(
      "names Role r, which is missing",
    );
  });
});

describe("comparing what is granted with what is used", () => {
  const equal = { unused: [], ungranted: [], repeated: [] };
  const of = (changes: Partial<Right>): Right => ({ ...right, ...changes });

  test("finds nothing where both are equal", () => {
    expect(compareRights([right], [of({ name: "a" })])).toEqual(equal);
  });

  test("finds a granted verb that nothing has used", () => {
    expect(compareRights([right, of({ verb: "list" })], [right]).unused).toEqual(["list secrets in shop"]);
  });

  test("finds what more than one rule grants", () => {
    const granted = [of({ namespace: "" }), right, of({ verb: "list" })];
    expect(compareRights(granted, granted).repeated).toEqual(["get secrets in shop"]);
  });

  test("finds what is used beyond a rule's verbs, namespace and names", () => {
    const granted = [of({ name: "a" })];
    const used = [of({ name: "b" }), of({ verb: "list", name: "a" }), of({ namespace: "web", name: "a" })];
    expect(compareRights(granted, used).ungranted).toEqual([
      "get secrets a in web",
      "get secrets b in shop",
      "list secrets a in shop",
    ]);
  });

  test("lets a cluster-wide right cover every namespace, and a * cover nothing", () => {
    expect(compareRights([of({ namespace: "" })], [right])).toEqual(equal);
    expect(compareRights([of({ verb: "*" })], [right])).toEqual({
      unused: ["* secrets in shop"],
      ungranted: ["get secrets in shop"],
      repeated: [],
    });
  });
});
