import { describe } from "vitest";
import { sharedCluster } from "../cluster/shared.ts";
import { dryRunner } from "./dry-run.ts";
import { syncedSecret, withSpec } from "./manifests.ts";
import { refuses, takes } from "./verdicts.ts";

const dryRun = dryRunner(await sharedCluster());

const target = (fields: object) => withSpec({ target: fields });
const db = { parameter: { name: "/shop/db" } };

const types = [
  "Opaque",
  "kubernetes.io/tls",
  "kubernetes.io/dockerconfigjson",
  "kubernetes.io/dockercfg",
  "kubernetes.io/basic-auth",
  "kubernetes.io/ssh-auth",
  "example.com/credentials",
  "istio.io/key-and-cert",
  "notkubernetes.io/x",
  "helm.sh.example.com/x",
];

const forbiddenTypes = [
  "kubernetes.io/service-account-token",
  "bootstrap.kubernetes.io/token",
  "helm.sh/release.v1",
  "helm.sh/other",
  "meta.helm.sh/x",
  "k8s.io/x",
  "x.k8s.io/x",
  "kubernetes.io/other",
  "kubernetes.io./service-account-token",
  "Kubernetes.io/service-account-token",
  "opaque",
  "credentials",
  "",
];

const forbiddenNames = ["keyferry.io/adopt", "restart.keyferry.io/x"];

/** The operator decides about some of these: test/controllers/syncedsecret/plan/target-metadata.test.ts. */
const allowedNames = [
  "team",
  "app.kubernetes.io/name",
  "example.com/team",
  "node.k8s.io/x",
  "argocd.argoproj.io/instance",
];

describe("target.type", () => {
  takes(dryRun, Object.fromEntries(types.map((type) => [type, target({ type })])));
  refuses(
    dryRun,
    Object.fromEntries(
      forbiddenTypes.map((type) => [
        type || "nothing",
        [
          target({ type }),
          "spec.target.type",
          "target.type must be Opaque, kubernetes.io/tls,",
          "example.com/credentials",
        ],
      ]),
    ),
  );
});

for (const field of ["labels", "annotations"]) {
  describe(`target.${field}`, () => {
    takes(dryRun, Object.fromEntries(allowedNames.map((name) => [name, target({ [field]: { [name]: "x" } })])));
    takes(dryRun, { "an empty value": target({ [field]: { team: "" } }), none: target({ [field]: {} }) });
    refuses(
      dryRun,
      Object.fromEntries(
        forbiddenNames.map((name) => [
          name,
          [target({ [field]: { [name]: "x" } }), `target.${field}`, "are refused", "use a domain of your own"],
        ]),
      ),
    );
    refuses(dryRun, {
      "a name with a space": [target({ [field]: { "a b": "x" } }), `target.${field}: each name must be letters`],
      "an empty name": [target({ [field]: { "": "x" } }), `target.${field}: each name must be letters`],
      "a name of 64 characters": [target({ [field]: { ["x".repeat(64)]: "x" } }), "at most 63 characters"],
      "a name with two slashes": [target({ [field]: { "a/b/c": "x" } }), `target.${field}: each name must be letters`],
    });
  });
}

describe("target", () => {
  takes(dryRun, {
    "a name with dots": target({ name: "checkout.v1" }),
    nothing: target({}),
    Merge: target({ name: "other", creationPolicy: "Merge" }),
    "Merge with immutable: false": target({ creationPolicy: "Merge", immutable: false }),
    Orphan: target({ creationPolicy: "Orphan" }),
    "immutable with Once": withSpec({ target: { immutable: true }, refresh: { policy: "Once" } }),
    "a template": target({ template: { data: { "application.yaml": "url: {{ DB }}" }, includeSourceKeys: true } }),
    "a long annotation": target({ annotations: { note: "x".repeat(4_096) } }),
    "the default name of a resource whose name has dots": syncedSecret({ data: [{ key: "DB", ...db }] }, "a.b"),
  });
  refuses(dryRun, {
    "a name with upper case": [target({ name: "Checkout" }), "spec.target.name", "lower case letters"],
    "an empty name": [target({ name: "" }), "spec.target.name", "target.name must be a Secret's name"],
    "a name with a slash": [target({ name: "other/checkout" }), "spec.target.name"],
    "a name of 254 characters": [target({ name: "x".repeat(254) }), "spec.target.name", "253"],
    "an invalid label value": [target({ labels: { a: "x y" } }), "target.labels: each value must be letters"],
    "a label value of 64 characters": [target({ labels: { a: "x".repeat(64) } }), "spec.target.labels", "63"],
    "33 labels": [
      target({ labels: Object.fromEntries(Array.from({ length: 33 }, (_, i) => [`l${i}`, "x"])) }),
      "spec.target.labels",
      "32",
    ],
    "an unknown creationPolicy": [target({ creationPolicy: "Adopt" }), 'supported values: "Owner", "Merge", "Orphan"'],
    "a type with Merge": [
      target({ creationPolicy: "Merge", type: "Opaque" }),
      "spec.target.type",
      "cannot be given with creationPolicy: Merge",
      "remove type",
    ],
    "immutable with Merge": [
      withSpec({ target: { creationPolicy: "Merge", immutable: true }, refresh: { policy: "Once" } }),
      "spec.target.immutable",
      "remove immutable",
    ],
    "immutable without a policy": [
      target({ immutable: true }),
      "spec.target.immutable",
      "needs spec.refresh.policy: Once",
    ],
    "immutable with Follow": [
      withSpec({ target: { immutable: true }, refresh: { policy: "Follow" } }),
      "needs spec.refresh.policy: Once",
    ],
    "a template without data": [target({ template: {} }), "spec.target.template.data", "Required value"],
    "a template for an invalid key": [
      target({ template: { data: { "a/b": "x" } } }),
      "target.template.data: each name must be a Secret's key",
    ],
    "a template for ..": [target({ template: { data: { "..x": "x" } } }), "not beginning with .."],
    "a template of 65,537 characters": [target({ template: { data: { a: "x".repeat(65_537) } } }), "65536"],
  });
});
