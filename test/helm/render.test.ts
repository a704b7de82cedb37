import { readdirSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Command } from "commander";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { addControllerOptions, type ControllerFlags, controllerSettings } from "../../src/cli/flags.ts";
import { chart, deploymentOf, helm, type Rendered, releaseNamespace, render, root } from "./chart.ts";

const crds = join(root, "crds");
const copies = join(chart, "files/crds");

function controllerCommand(): Command {
  const command = new Command("controller").exitOverride();
  addControllerOptions(command);
  return command;
}

/** What the program makes of the arguments of the rendered container. */
async function settingsOf(values: object) {
  const [name, ...flags] = deploymentOf(await render(values)).spec.template.spec.containers[0]!.args;
  expect(name).toBe("controller");
  return controllerSettings(controllerCommand().parse(flags, { from: "user" }).opts<ControllerFlags>());
}

/** The program's defaults, but with leader election. */
const defaults = controllerSettings(
  controllerCommand().parse(["--leader-elect"], { from: "user" }).opts<ControllerFlags>(),
);

test("the chart passes helm lint in strict mode", async () => {
  const { stdout, code } = await helm(["lint", chart, "--strict"]);
  expect(stdout).toContain("1 chart(s) linted, 0 chart(s) failed");
  expect(code).toBe(0);
});

test("the chart and its image have the program's version", async () => {
  const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { version: string };
  expect(parse(readFileSync(join(chart, "Chart.yaml"), "utf8"))).toMatchObject({ version, appVersion: version });
  const { image } = deploymentOf(await render({})).spec.template.spec.containers[0]!;
  expect(image).toBe(`keyferry/keyferry:${version}`);
});

test("the packaged chart renders the same as its folder", async () => {
  const dir = await mkdtemp(join(tmpdir(), "keyferry-chart-"));
  try {
    const { version } = parse(readFileSync(join(chart, "Chart.yaml"), "utf8")) as { version: string };
    expect(await helm(["package", chart, "--destination", dir])).toMatchObject({ code: 0 });
    const packaged = await helm(["template", "keyferry", join(dir, `keyferry-${version}.tgz`)]);
    expect(packaged).toEqual(await helm(["template", "keyferry", chart]));
    expect(packaged.code).toBe(0);
  } finally {
    await rm(dir, { recursive: true });
  }
});

test.each([
  ["a tag", { tag: "v9" }, "keyferry/keyferry:v9"],
  [
    "a digest, which overrides the tag",
    { tag: "v9", digest: `sha256:${"a".repeat(64)}` },
    `keyferry/keyferry@sha256:${"a".repeat(64)}`,
  ],
  ["a repository", { repository: "mirror.example/keyferry", tag: "v9" }, "mirror.example/keyferry:v9"],
])("the image can be given by %s", async (_, image, reference) => {
  expect(deploymentOf(await render({ image })).spec.template.spec.containers[0]).toMatchObject({ image: reference });
});

describe("the flags of the operator", () => {
  test("have the program's defaults without values", async () => {
    expect(await settingsOf({})).toEqual(defaults);
  });

  const table: Record<string, [values: object, settings: object]> = {
    "the region of the default connection": [
      { aws: { region: "eu-west-1" } },
      { defaultConnectionRegion: "eu-west-1" },
    ],
    "namespaces, and a connection in one of them": [
      { namespaces: ["a", "b"], defaultConnection: "b/aws" },
      { namespaces: ["a", "b"], defaultConnection: { namespace: "b", name: "aws" } },
    ],
    "other protected namespaces": [{ protectedNamespaces: ["x", "y"] }, { protectedNamespaces: ["x", "y"] }],
    "no protected namespaces": [{ protectedNamespaces: [] }, { protectedNamespaces: [] }],
    "domains of target metadata": [
      { allowedTargetMetadata: ["argocd.argoproj.io", "k8s.io"] },
      { allowedTargetMetadata: ["argocd.argoproj.io", "k8s.io"] },
    ],
    "read-only": [{ readOnly: true }, { readOnly: true, leaderElect: false }],
    "the grace period of missing parameters": [{ missingGrace: "1h30m" }, { missingGrace: 5_400_000 }],
    "the cluster name": [{ clusterName: "prod-eu" }, { clusterName: "prod-eu" }],
    "a cluster name that YAML would parse as a key": [{ clusterName: "prod:" }, { clusterName: "prod:" }],
    "the audit log on standard output": [{ auditLog: "-" }, { auditLog: "-" }],
    "the audit log in a file": [{ auditLog: "/var/log/k/audit.jsonl" }, { auditLog: "/var/log/k/audit.jsonl" }],
    "endpoints for emulators": [{ allowInsecureEndpoints: true }, { allowInsecureEndpoints: true }],
    "no metric series per resource": [{ perObjectMetrics: false }, { perObjectMetrics: false }],
    "log level and format": [
      { logLevel: "debug", logFormat: "text" },
      { logLevel: "debug", logFormat: "text" },
    ],
    "other ports": [
      { metrics: { port: 9090 }, healthProbe: { port: 9091 } },
      {
        metricsBindAddress: { host: undefined, port: 9090 },
        healthProbeBindAddress: { host: undefined, port: 9091 },
      },
    ],
  };

  test.each(Object.entries(table))("set %s", async (_, [values, settings]) => {
    expect(await settingsOf(values)).toEqual({ ...defaults, ...settings });
  });

  test("disable the metrics on request", async () => {
    expect((await settingsOf({ metrics: { enabled: false } })).metricsBindAddress).toBeFalsy();
  });

  test("can each be set by a value, except the kubeconfig", async () => {
    const all = [
      { aws: { region: "eu-west-1" }, clusterName: "c", auditLog: "-", allowInsecureEndpoints: true },
      { readOnly: true },
      { namespaces: ["a"], defaultConnection: "a/aws", allowedTargetMetadata: ["k8s.io"] },
    ];
    const rendered = await Promise.all(all.map(render));
    const args = rendered.flatMap((objects) => deploymentOf(objects).spec.template.spec.containers[0]!.args);
    const passed = new Set(args.filter((arg) => arg.startsWith("--")).map((arg) => arg.split("=")[0]!));
    const known = controllerCommand().options.map(({ long }) => long!);
    expect([...passed].sort()).toEqual(known.filter((flag) => flag !== "--kubeconfig").sort());
  });
});

describe("the CustomResourceDefinitions", () => {
  const files = readdirSync(crds);

  test("of the chart equal crds/ (run node scripts/chart-crds.ts)", () => {
    expect(readdirSync(copies)).toEqual(files);
    const differ = files.filter((file) => !readFileSync(join(copies, file)).equals(readFileSync(join(crds, file))));
    expect(differ).toEqual([]);
  });

  const isDefinition = ({ kind }: Rendered) => kind === "CustomResourceDefinition";
  const bare = ({ metadata, ...rest }: Rendered) => ({ ...rest, metadata: { name: metadata.name } });

  test("are rendered unchanged except for labels and Helm's resource policy", async () => {
    const rendered = (await render({})).filter(isDefinition);
    const sources = files.map((file) => parse(readFileSync(join(copies, file), "utf8")) as Rendered);
    expect(rendered.map(bare)).toEqual(sources.map(bare));
    for (const { metadata } of rendered) {
      expect(metadata.annotations).toEqual({ "helm.sh/resource-policy": "keep" });
    }
  });

  test("are not rendered with crds.install off, and not kept with crds.keep off", async () => {
    expect((await render({ crds: { install: false } })).filter(isDefinition)).toEqual([]);
    const rendered = (await render({ crds: { keep: false } })).filter(isDefinition);
    expect(rendered.map(({ metadata }) => metadata.annotations)).toEqual(files.map(() => undefined));
  });
});

describe("the objects", () => {
  test("have the recommended labels and those of the values, which cannot override a selector", async () => {
    const labels = { team: "platform", "app.kubernetes.io/name": "other" };
    const objects = await render({ labels, namespaces: ["a"] });
    const own = {
      "app.kubernetes.io/name": "keyferry",
      "app.kubernetes.io/instance": "keyferry",
      "app.kubernetes.io/managed-by": "Helm",
      "app.kubernetes.io/version": expect.stringMatching(/^\d+\.\d+\.\d+$/),
      "helm.sh/chart": expect.stringMatching(/^keyferry-\d+\.\d+\.\d+$/),
      team: "platform",
    };
    for (const { metadata } of objects) expect(metadata.labels).toEqual(own);
    const { selector, template } = deploymentOf(objects).spec;
    expect(template.metadata.labels).toEqual(own);
    expect(template.metadata.labels).toMatchObject(selector.matchLabels);
  });

  test("are in the release's namespace, except for cluster-scoped objects", async () => {
    const objects = await render({});
    const namespaces = Object.fromEntries(objects.map(({ kind, metadata }) => [kind, metadata.namespace]));
    expect(namespaces).toEqual({
      CustomResourceDefinition: undefined,
      ClusterRole: undefined,
      ClusterRoleBinding: undefined,
      ServiceAccount: releaseNamespace,
      Service: releaseNamespace,
      Role: releaseNamespace,
      RoleBinding: releaseNamespace,
      Deployment: releaseNamespace,
    });
  });

  test("include Roles in the given namespaces and no cluster-scoped objects, with namespaces", async () => {
    const objects = (await render({ namespaces: ["a", "b"], crds: { install: false } })).map(
      ({ kind, metadata }) => `${kind} in ${metadata.namespace}`,
    );
    const roles = ["a", "b", releaseNamespace].flatMap((where) => [`Role in ${where}`, `RoleBinding in ${where}`]);
    expect(objects.sort()).toEqual(["Deployment in ops", "Service in ops", "ServiceAccount in ops", ...roles].sort());
  });

  test("include no ServiceAccount, RBAC objects and Service if these are disabled", async () => {
    const values = { serviceAccount: { create: false, name: "mine" }, rbac: { create: false } };
    const objects = await render({ ...values, metrics: { enabled: false }, crds: { install: false } });
    expect(objects.map(({ kind }) => kind)).toEqual(["Deployment"]);
    expect(deploymentOf(objects).spec.template.spec.serviceAccountName).toBe("mine");
  });

  test("bind the roles to the pod's ServiceAccount", async () => {
    const objects = await render({ serviceAccount: { create: false, name: "mine" } });
    const binding = objects.find(({ kind }) => kind === "ClusterRoleBinding");
    expect(binding).toMatchObject({
      subjects: [{ kind: "ServiceAccount", name: "mine", namespace: releaseNamespace }],
    });
  });

  test("contain the values for the pod and the ServiceAccount", async () => {
    const pod = {
      nodeSelector: { "kubernetes.io/arch": "arm64" },
      tolerations: [{ key: "ops", operator: "Exists", effect: "NoSchedule", tolerationSeconds: 60 }],
      affinity: {
        podAntiAffinity: {
          preferredDuringSchedulingIgnoredDuringExecution: [
            { weight: 1, podAffinityTerm: { topologyKey: "zone", labelSelector: { matchLabels: { a: "b" } } } },
          ],
        },
      },
      priorityClassName: "system-cluster-critical",
      imagePullSecrets: [{ name: "watchCache" }],
    };
    const extraEnv = [
      { name: "HTTPS_PROXY", value: "http://proxy:3128" },
      { name: "TOKEN", valueFrom: { secretKeyRef: { name: "a", key: "b" } } },
    ];
    const role = { "eks.amazonaws.com/role-arn": "arn:aws:iam::111122223333:role/keyferry" };
    const resources = { requests: { cpu: 1 }, limits: { memory: "1Gi" } };
    const podAnnotations = { "prometheus.io/scrape": "true" };
    const objects = await render({
      ...pod,
      extraEnv,
      resources,
      podAnnotations,
      serviceAccount: { annotations: role },
    });
    const { spec, metadata } = deploymentOf(objects).spec.template;
    expect(spec).toMatchObject(pod);
    expect(metadata.annotations).toEqual(podAnnotations);
    expect(spec.containers[0]).toMatchObject({ env: extraEnv, resources: { limits: { memory: "1Gi" } } });
    expect(objects.find(({ kind }) => kind === "ServiceAccount")?.metadata.annotations).toEqual(role);
  });

  test("stop the old pod before a new pod starts, because there is no leader election", async () => {
    expect(deploymentOf(await render({})).spec).toMatchObject({ replicas: 1, strategy: { type: "Recreate" } });
    expect(deploymentOf(await render({ replicas: 0 })).spec.replicas).toBe(0);
  });

  test("run the operator without privileges, on a read-only file system", async () => {
    const { securityContext, containers } = deploymentOf(await render({})).spec.template.spec;
    expect(securityContext).toEqual({ runAsNonRoot: true, seccompProfile: { type: "RuntimeDefault" } });
    expect(containers[0]!.securityContext).toEqual({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ["ALL"] },
    });
  });

  test("send probes to the health port, and the Service to the metrics port", async () => {
    const objects = await render({ metrics: { port: 9090 }, healthProbe: { port: 9091 } });
    const ports = [
      { name: "metrics", containerPort: 9090 },
      { name: "probes", containerPort: 9091 },
    ];
    expect(deploymentOf(objects).spec.template.spec.containers[0]).toMatchObject({
      ports,
      livenessProbe: { httpGet: { path: "/healthz", port: "probes" } },
      readinessProbe: { httpGet: { path: "/readyz", port: "probes" } },
    });
    const service = objects.find(({ kind }) => kind === "Service");
    expect(service).toMatchObject({ spec: { ports: [{ name: "metrics", port: 9090, targetPort: "metrics" }] } });
  });
});

describe("the pod", async () => {
  const podOf = async (values: object) => {
    const spec = deploymentOf(await render(values)).spec.template.spec as Record<string, unknown> & {
      containers: Record<string, unknown>[];
    };
    const [container] = spec.containers;
    const { volumes, securityContext } = spec;
    return { volumes, mounts: container!.volumeMounts, env: container!.env, securityContext };
  };
  const plain = await podOf({});

  test("has no volumes and variables by default", () => {
    expect(plain).toMatchObject({ volumes: undefined, mounts: undefined, env: undefined });
    expect(plain.securityContext).not.toHaveProperty("fsGroup");
  });

  test("mounts a volume at the audit log's folder, and none for standard output", async () => {
    const pod = await podOf({ auditLog: "/var/log/keyferry/audit.jsonl" });
    expect(pod.mounts).toEqual([{ name: "audit", mountPath: "/var/log/keyferry" }]);
    expect(pod.volumes).toEqual([{ name: "audit", emptyDir: { sizeLimit: "1Gi" } }]);
    expect(pod.securityContext).toEqual(plain.securityContext);
    expect((await podOf({ auditLog: "-" })).volumes).toBeUndefined();
  });

  test("uses the audit log's claim, and sets fsGroup unless the cluster assigns it", async () => {
    const auditLog = "/audit/log.jsonl";
    const claimed = await podOf({ auditLog, auditVolume: { claim: "audit" } });
    expect(claimed.volumes).toEqual([{ name: "audit", persistentVolumeClaim: { claimName: "audit" } }]);
    expect(claimed.securityContext).toMatchObject({ fsGroup: 65532 });
    const without = await podOf({ auditLog, auditVolume: { claim: "audit", fsGroup: 0 } });
    expect(without.securityContext).toEqual(plain.securityContext);
  });

  test.each([
    ["configMap", { configMap: { name: "ca" } }],
    ["secret", { secret: { secretName: "ca" } }],
  ])("trusts the certificates of a %s", async (kind, source) => {
    const { volumes, mounts, env } = await podOf({ extraCa: { [kind]: "ca", key: "proxy.pem" } });
    expect(volumes).toEqual([{ name: "extra-ca", ...source }]);
    expect(mounts).toEqual([{ name: "extra-ca", mountPath: "/etc/keyferry/ca", readOnly: true }]);
    expect(env).toEqual([{ name: "NODE_EXTRA_CA_CERTS", value: "/etc/keyferry/ca/proxy.pem" }]);
  });

  test("reaches AWS through proxies, and the API server, Services and credential endpoints directly", async () => {
    const extraEnv = [{ name: "A", value: "a" }];
    const { env } = await podOf({ proxy: { https: "http://proxy:3128", noProxy: ["10.0.0.0/8", ".corp"] }, extraEnv });
    const [proxy, none, extra] = env as { name: string; value: string }[];
    expect(proxy).toEqual({ name: "HTTPS_PROXY", value: "http://proxy:3128" });
    expect(none!.name).toBe("NO_PROXY");
    const hosts = none!.value.split(",");
    expect(hosts).toEqual(
      expect.arrayContaining(["$(KUBERNETES_SERVICE_HOST)", ".svc", "169.254.170.23", "10.0.0.0/8", ".corp"]),
    );
    expect(extra).toEqual(extraEnv[0]);
    expect((await podOf({ proxy: { noProxy: [".corp"] } })).env).toBeUndefined();
  });
});
