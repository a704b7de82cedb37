import { describe, expect, it } from "vitest";
import { canBeOpened, refusedTargetMetadata } from "../../../../src/controllers/syncedsecret/plan/target-metadata.ts";

const refusedNames = [
  "kubernetes.io/metadata.name",
  "kubectl.kubernetes.io/last-applied-configuration",
  "app.kubernetes.io.x.kubernetes.io/name",
  "sub.app.kubernetes.io/name",
  "node.k8s.io/x",
  "argocd.argoproj.io/instance",
  "sealedsecrets.bitnami.com/managed",
  "keyferry.io/adopt",
  "restart.keyferry.io/x",
];
const acceptedNames = [
  "team",
  "app.kubernetes.io/name",
  "example.com/team",
  "xkubernetes.io/a",
  "argoproj.io/x",
  "__proto__",
  "constructor",
];

describe.each(["labels", "annotations"] as const)("target.%s", (field) => {
  const check = (name: string, allowed: readonly string[] = []) =>
    refusedTargetMetadata({ [field]: Object.fromEntries([[name, "x"]]) }, allowed);

  it.each(refusedNames)("refuses %s and names it", (name) => {
    expect(check(name)).toMatchObject({ reason: "NotAllowed", next: "wait" });
    expect(check(name)!.message).toContain(`target.${field}: ${name}`);
    expect(check(name)!.message).toContain("--allowed-target-metadata");
  });

  it.each(acceptedNames)("accepts %s", (name) => expect(check(name)).toBeUndefined());

  it.each([
    ["argocd.argoproj.io/secret-type", "argocd.argoproj.io", true],
    ["x.argocd.argoproj.io/secret-type", "argocd.argoproj.io", true],
    ["argocd.argoproj.io/secret-type", "argoproj.io", true],
    ["argocd.argoproj.io/secret-type", "io", true],
    ["argocd.argoproj.io/secret-type", "xargocd.argoproj.io", false],
    ["kubectl.kubernetes.io/x", "argocd.argoproj.io", false],
    ["keyferry.io/adopt", "keyferry.io", false],
    ["restart.keyferry.io/x", "io", false],
  ])("with %s, where %s is opened: accepted: %s", (name, opened, isAccepted) => {
    expect(check(name, [opened]) === undefined).toBe(isAccepted);
  });
});

it("names every refused label and annotation", () => {
  const labels = { "k8s.io/b": "x", "k8s.io/a": "x", team: "x" };
  const { message } = refusedTargetMetadata({ labels, annotations: { "kubernetes.io/c": "x" } }, [])!;
  expect(message).toContain("target.annotations: kubernetes.io/c, target.labels: k8s.io/a, target.labels: k8s.io/b");
});

it.each([
  ["argocd.argoproj.io", true],
  ["k8s.io", true],
  ["keyferry.io", false],
  ["restart.keyferry.io", false],
])("%s can be opened: %s", (domain, isPossible) => expect(canBeOpened(domain)).toBe(isPossible));
