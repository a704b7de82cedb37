import { expect, it } from "vitest";
import { type PodSpec, usesOf } from "../../../../src/controllers/rollout/decide/uses.ts";

const env = (name?: string) => ({
  env: [{ valueFrom: { secretKeyRef: { ...(name === undefined ? {} : { name }) } } }],
});
const envFrom = (name: string) => ({ envFrom: [{ secretRef: { name } }] });
const projected = (...names: string[]) => ({ projected: { sources: names.map((name) => ({ secret: { name } })) } });

it.each<[what: string, spec: PodSpec, uses: Record<string, string[]>]>([
  ["env", { containers: [env("a")] }, { a: ["Env"] }],
  ["envFrom", { containers: [envFrom("a")] }, { a: ["EnvFrom"] }],
  ["env of an init container", { initContainers: [env("a")] }, { a: ["Env"] }],
  ["envFrom of an init container", { initContainers: [envFrom("a")] }, { a: ["EnvFrom"] }],
  ["env of an ephemeral container", { ephemeralContainers: [env("a")] }, { a: ["Env"] }],
  ["envFrom of an ephemeral container", { ephemeralContainers: [envFrom("a")] }, { a: ["EnvFrom"] }],
  ["a Secret volume", { volumes: [{ secret: { secretName: "a" } }] }, { a: ["Volume"] }],
  ["a projected volume", { volumes: [projected("a", "b")] }, { a: ["Volume"], b: ["Volume"] }],
  [
    "the credentials of a CSI volume",
    { volumes: [{ csi: { nodePublishSecretRef: { name: "a" } } }] },
    { a: ["Volume"] },
  ],
  ["imagePullSecrets", { imagePullSecrets: [{ name: "a" }] }, { a: ["ImagePullSecret"] }],
])("finds %s", (_what, spec, uses) => {
  expect(Object.fromEntries(usesOf(spec))).toEqual(uses);
});

it("names each way once, in the order Env, EnvFrom, Volume, ImagePullSecret", () => {
  const spec: PodSpec = {
    imagePullSecrets: [{ name: "a" }, { name: "a" }],
    volumes: [{ secret: { secretName: "a" } }, projected("a", "a")],
    containers: [envFrom("a"), env("a")],
    initContainers: [env("a"), envFrom("a")],
  };
  expect(Object.fromEntries(usesOf(spec))).toEqual({ a: ["Env", "EnvFrom", "Volume", "ImagePullSecret"] });
});

it.each<[what: string, spec: PodSpec]>([
  ["an empty spec", {}],
  ["empty lists", { containers: [], initContainers: [], ephemeralContainers: [], volumes: [], imagePullSecrets: [] }],
  ["a container without environment", { containers: [{}] }],
  ["a plain variable and one from a ConfigMap", { containers: [{ env: [{}, { valueFrom: {} }], envFrom: [{}] }] }],
  ["references without a name", { containers: [env(), env("")], imagePullSecrets: [{}], volumes: [{ secret: {} }] }],
  ["other volumes", { volumes: [{}, { projected: {} }, { projected: { sources: [{}] } }, { csi: {} }] }],
])("finds nothing in %s", (_what, spec) => {
  expect(usesOf(spec).size).toBe(0);
});

it("takes a name such as __proto__ for a name", () => {
  expect([...usesOf({ containers: [env("__proto__"), env("constructor")] }).keys()]).toEqual([
    "__proto__",
    "constructor",
  ]);
});
