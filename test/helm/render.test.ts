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

const flagOf = (argument: string) => argument.split("=")[0]!;
const leaderElection = [
  ...["--leader-elect", "--lease-name", "--lease-duration", "--renew-deadline", "--retry-period"],
  "--shards",
];

async function argumentsOf(values: object): Promise<string[]> {
  const [name, ...flags] = deploymentOf(await render(values)).spec.template.spec.containers[0]!.args;
  expect(name).toBe("controller");
  return flags;
}

/** What the program makes of the arguments of the rendered container. */
async function settingsOf(values: object) {
  const flags = await argumentsOf(values);
  return controllerSettings(controllerCommand().parse(flags, { from: "user" }).opts<ControllerFlags>());
}

/** The program's defaults. The chart runs two replicas, which elect a leader, and restarts nothing unless asked to. */
const defaults = {
  ...controllerSettings(controllerCommand().parse([], { from: "user" }).opts<ControllerFlags>()),
  leaderElect: true,
  rolloutKinds: [],
};

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
  ["a registry", { registry: "mirror.example:5000/x", tag: "v9" }, "mirror.example:5000/x/keyferry/keyferry:v9"],
])("the image can be given by %s", async (_, image, reference) => {
  expect(deploymentOf(await render({ image })).spec.template.spec.containers[0]).toMatchObject({ image: reference });
});

describe("the flags of the operator", () => {
  test("have the program's defaults without values, with leader election and without restarts", async () => {
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
    "the durations of leader election": [
      { leaderElection: { leaseDuration: "60s", renewDeadline: "40s", retryPeriod: "5s" } },
      { leaseDurationMs: 60_000, renewDeadlineMs: 40_000, retryPeriodMs: 5_000 },
    ],
    "no leader election": [
      { replicas: 1, strategy: { type: "Recreate" }, leaderElection: { enabled: false } },
      { leaderElect: false },
    ],
    "the grace period of missing parameters": [{ missingGrace: "1h30m" }, { missingGrace: 5_400_000 }],
    "the cluster name": [{ clusterName: "prod-eu" }, { clusterName: "prod-eu" }],
    "a cluster name that YAML would parse as a key": [{ clusterName: "prod:" }, { clusterName: "prod:" }],
    "the audit log on standard output": [{ auditLog: "-" }, { auditLog: "-" }],
    "the audit log in a file": [{ auditLog: "/var/log/k/audit.jsonl" }, { auditLog: "/var/log/k/audit.jsonl" }],
    "traces of some reconciles": [
      { tracing: { endpoint: "http://collector.monitoring:4318", sampleRatio: 0.25 } },
      { otlpEndpoint: "http://collector.monitoring:4318", traceSampleRatio: 0.25 },
    ],
    "endpoints for emulators": [{ allowInsecureEndpoints: true }, { allowInsecureEndpoints: true }],
    "restarts of workloads, with the program's kinds and number": [
      { rbac: { rollouts: { enabled: true } } },
      { rolloutKinds: ["Deployment", "StatefulSet", "DaemonSet"], maxConcurrentRollouts: 5 },
    ],
    "restarts of some kinds in one namespace, and their number": [
      { rbac: { rollouts: { enabled: true, namespaces: ["a"], kinds: ["Rollout", "Deployment"], maxConcurrent: 2 } } },
      { rolloutKinds: ["Rollout", "Deployment"], maxConcurrentRollouts: 2 },
    ],
    "no restarts for now": [
      { rbac: { rollouts: { enabled: true, kinds: ["Deployment"], maxConcurrent: 0 } } },
      { rolloutKinds: ["Deployment"], maxConcurrentRollouts: 0 },
    ],
    "restarts without a bound that matters": [
      { rbac: { rollouts: { enabled: true, kinds: ["Deployment"], maxConcurrent: 1_000_000 } } },
      { rolloutKinds: ["Deployment"], maxConcurrentRollouts: 1_000_000 },
    ],
    "no restarts by a read-only operator": [
      { readOnly: true, rbac: { rollouts: { enabled: true, maxConcurrent: 2 } } },
      { readOnly: true, leaderElect: false },
    ],
    "no metric series per resource": [{ perObjectMetrics: false }, { perObjectMetrics: false }],
    "metrics over TLS with a certificate of the process": [
      { metrics: { secure: { enabled: true } } },
      { metricsSecure: true },
    ],
    "metrics over TLS with a certificate from a Secret": [
      { metrics: { secure: { enabled: true, certSecret: "tls" } } },
      { metricsSecure: true, metricsCertPath: "/etc/keyferry/metrics" },
    ],
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
      { aws: { region: "eu-west-1" }, clusterName: "c", auditLog: "-", readOnly: true, allowInsecureEndpoints: true },
      { namespaces: ["a"], defaultConnection: "a/aws", allowedTargetMetadata: ["k8s.io"] },
      { metrics: { secure: { enabled: true, certSecret: "tls" } } },
      { leaderElection: { shards: 4 } },
      { tracing: { endpoint: "http://collector:4318" } },
      { rbac: { rollouts: { enabled: true } } },
    ];
    const rendered = await Promise.all(all.map((values) => render(values)));
    const args = rendered.flatMap((objects) => deploymentOf(objects).spec.template.spec.containers[0]!.args);
    const passed = new Set(args.filter((arg) => arg.startsWith("--")).map(flagOf));
    const known = controllerCommand().options.map(({ long }) => long!);
    const expected = new Set([...known.filter((flag) => flag !== "--kubeconfig"), ...leaderElection]);
    expect([...passed].sort()).toEqual([...expected].sort());
  });

  test("turn leader election on, unless the operator is read-only or alone", async () => {
    const electionOf = async (values: object) =>
      (await argumentsOf(values)).filter((argument) => leaderElection.includes(flagOf(argument)));
    const [on, off] = [["--leader-elect=true", "--lease-name=keyferry"], ["--leader-elect=false"]];
    const own = [...on, "--lease-duration=15s", "--renew-deadline=10s", "--retry-period=2s"];
    expect(await electionOf({})).toEqual(own);
    const slow = { leaderElection: { leaseDuration: "60s", renewDeadline: "40s", retryPeriod: "5s" } };
    const slower = [...on, "--lease-duration=60s", "--renew-deadline=40s", "--retry-period=5s"];
    expect(await electionOf(slow)).toEqual(slower);
    // It looks at the Lease of the operator that writes.
    expect(await electionOf({ readOnly: true })).toEqual([...off, "--lease-name=keyferry"]);
    expect(await electionOf({ leaderElection: { shards: 4 } })).toEqual([...own, "--shards=4"]);
    const alone = { replicas: 1, strategy: { type: "Recreate" }, leaderElection: { enabled: false } };
    expect(await electionOf(alone)).toEqual(off);
  });

  test("end with those of extraArgs, which win", async () => {
    const { logLevel } = await settingsOf({ logLevel: "warn", extraArgs: ["--log-level=debug"] });
    expect(logLevel).toBe("debug");
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
    const commonLabels = { team: "platform", "app.kubernetes.io/name": "other" };
    const objects = await render({ commonLabels, namespaces: ["a"] });
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
      Role: releaseNamespace,
      RoleBinding: releaseNamespace,
      PodDisruptionBudget: releaseNamespace,
      ServiceAccount: releaseNamespace,
      Service: releaseNamespace,
      Deployment: releaseNamespace,
    });
  });

  test("include Roles in the given namespaces and no cluster-scoped objects, with namespaces", async () => {
    const objects = (await render({ namespaces: ["a", "b"], crds: { install: false } })).map(
      ({ kind, metadata }) => `${kind} in ${metadata.namespace}`,
    );
    const roles = ["a", "b", "ops"].flatMap((namespace) => [`Role in ${namespace}`, `RoleBinding in ${namespace}`]);
    const own = ["Deployment", "PodDisruptionBudget", "Service", "ServiceAccount"].map((kind) => `${kind} in ops`);
    expect(objects.sort()).toEqual([...own, ...roles].sort());
  });

  test("include no ServiceAccount, RBAC objects and Service if these are disabled", async () => {
    const values = { serviceAccount: { create: false, name: "mine" }, rbac: { create: false } };
    const without = { metrics: { enabled: false }, crds: { install: false }, podDisruptionBudget: { enabled: false } };
    const objects = await render({ ...values, ...without });
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

  test("run two pods, replaced one at a time, and as many as asked for", async () => {
    const rollingUpdate = { maxSurge: 1, maxUnavailable: 0 };
    expect(deploymentOf(await render({})).spec).toMatchObject({
      replicas: 2,
      strategy: { type: "RollingUpdate", rollingUpdate },
    });
    expect(deploymentOf(await render({ replicas: 0 })).spec.replicas).toBe(0);
    expect(deploymentOf(await render({ replicas: 3, readOnly: true })).spec.replicas).toBe(1);
  });

  test("stop the old pod before a new pod starts where there is no leader election", async () => {
    const values = { replicas: 1, strategy: { type: "Recreate" }, leaderElection: { enabled: false } };
    const { replicas, strategy } = deploymentOf(await render(values)).spec;
    expect([replicas, strategy]).toEqual([1, { type: "Recreate" }]);
  });

  test("have a PodDisruptionBudget only above one replica", async () => {
    const budgetOf = async (values: object) =>
      (await render(values)).find(({ kind }) => kind === "PodDisruptionBudget") as { spec: object } | undefined;
    expect((await budgetOf({}))?.spec).toMatchObject({ maxUnavailable: 1, unhealthyPodEvictionPolicy: "AlwaysAllow" });
    const atLeast = (await budgetOf({ replicas: 3, podDisruptionBudget: { minAvailable: "50%" } }))?.spec;
    expect(atLeast).toMatchObject({ minAvailable: "50%" });
    expect(atLeast).not.toHaveProperty("maxUnavailable");
    expect((await budgetOf({ podDisruptionBudget: { minAvailable: 0 } }))?.spec).toMatchObject({ minAvailable: 0 });
    for (const values of [{ replicas: 1 }, { replicas: 0 }, { readOnly: true }]) {
      expect(await budgetOf(values)).toBeUndefined();
    }
  });

  test("of the Prometheus operator are created where the cluster has their kinds, or on request", async () => {
    const kindsOf = async (values: object, ...known: string[]) => {
      const monitors = ["serviceMonitor", "prometheusRule"].map((name) => [name, { enabled: true, ...values }]);
      const objects = await render({ metrics: Object.fromEntries(monitors) }, ...known.flatMap((api) => ["-a", api]));
      return objects.map(({ kind }) => kind).filter((kind) => /Monitor|Rule$/.test(kind));
    };
    const api = "monitoring.coreos.com/v1";
    expect(await kindsOf({})).toEqual([]);
    expect(await kindsOf({}, `${api}/ServiceMonitor`)).toEqual(["ServiceMonitor"]);
    expect((await kindsOf({ force: true })).sort()).toEqual(["PrometheusRule", "ServiceMonitor"]);
    expect(await kindsOf({ enabled: false, force: true }, `${api}/ServiceMonitor`)).toEqual([]);
  });

  test("leave users and groups to OpenShift, which is detected or named", async () => {
    const podSecurityContext = { runAsUser: 7, fsGroup: 7 };
    const securityContext = { runAsUser: 8, runAsGroup: 8 };
    const contextsOf = async (openshift: string, ...args: string[]) => {
      const objects = await render({ podSecurityContext, securityContext, openshift }, ...args);
      const { spec } = deploymentOf(objects).spec.template;
      return JSON.stringify([spec.securityContext, spec.containers[0]!.securityContext]);
    };
    const detected = ["-a", "security.openshift.io/v1"];
    for (const context of [await contextsOf("enabled"), await contextsOf("auto", ...detected)]) {
      expect(context).not.toMatch(/runAsUser|runAsGroup|fsGroup/);
      expect(context).toContain("runAsNonRoot");
    }
    for (const context of [await contextsOf("auto"), await contextsOf("disabled", ...detected)]) {
      expect(context).toMatch(/"fsGroup":7.*"runAsUser":7.*"runAsGroup":8.*"runAsUser":8/);
    }
  });

  test("carry the common annotations, which an object's own replace", async () => {
    const commonAnnotations = { a: "common", b: "common" };
    const objects = await render({ commonAnnotations, deploymentAnnotations: { a: "own" }, crds: { keep: false } });
    for (const { kind, metadata } of objects) {
      expect(metadata.annotations).toEqual(kind === "Deployment" ? { a: "own", b: "common" } : commonAnnotations);
    }
  });

  test("are in the namespace of namespaceOverride, and so is the subject of the bindings", async () => {
    const objects = await render({ namespaceOverride: "elsewhere" });
    expect(JSON.stringify(objects.filter(({ kind }) => kind !== "CustomResourceDefinition"))).not.toContain('"ops"');
    expect(deploymentOf(objects).metadata.namespace).toBe("elsewhere");
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
