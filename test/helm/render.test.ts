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

const defaults = controllerSettings(controllerCommand().parse([], { from: "user" }).opts<ControllerFlags>());

test("the chart passes helm lint, with everything that lint could warn of", async () => {
  const { stdout, code } = await helm(["lint", chart, "--strict"]);
  expect(stdout).toContain("1 chart(s) linted, 0 chart(s) failed");
  expect(code).toBe(0);
});

test("the chart and the image that it runs have the program's version", async () => {
  const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { version: string };
  expect(parse(readFileSync(join(chart, "Chart.yaml"), "utf8"))).toMatchObject({ version, appVersion: version });
  const { image } = deploymentOf(await render({})).spec.template.spec.containers[0]!;
  expect(image).toBe(`keyferry/keyferry:${version}`);
});

test("the packaged chart renders what its folder does", async () => {
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
    "a digest, which wins",
    { tag: "v9", digest: `sha256:${"a".repeat(64)}` },
    `keyferry/keyferry@sha256:${"a".repeat(64)}`,
  ],
  ["a repository", { repository: "mirror.example/keyferry", tag: "v9" }, "mirror.example/keyferry:v9"],
])("the image can be given by %s", async (_, image, reference) => {
  expect(deploymentOf(await render({ image })).spec.template.spec.containers[0]).toMatchObject({ image: reference });
});

describe("the flags of the operator", () => {
  test("are the program's defaults where no value is given", async () => {
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
    "read-only": [{ readOnly: true }, { readOnly: true }],
    "the time until a missing parameter is gone": [{ missingGrace: "1h30m" }, { missingGrace: 5_400_000 }],
    "the name of the cluster": [{ clusterName: "prod-eu" }, { clusterName: "prod-eu" }],
    "a name of the cluster that YAML would take for a key": [{ clusterName: "prod:" }, { clusterName: "prod:" }],
    "the audit, on the container's output": [{ auditLog: "-" }, { auditLog: "-" }],
    "the audit, in a file": [{ auditLog: "/var/log/k/audit.jsonl" }, { auditLog: "/var/log/k/audit.jsonl" }],
    "endpoints for emulators": [{ allowInsecureEndpoints: true }, { allowInsecureEndpoints: true }],
    "no series for each resource": [{ perObjectMetrics: false }, { perObjectMetrics: false }],
    "the log's level and form": [
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

  test.each(Object.entries(table))("take up %s", async (_, [values, settings]) => {
    expect(await settingsOf(values)).toEqual({ ...defaults, ...settings });
  });

  test("turn the metrics off where these are not wanted", async () => {
    expect((await settingsOf({ metrics: { enabled: false } })).metricsBindAddress).toBeFalsy();
  });

  test("can each be set by a value; a kubeconfig has no place in a pod", async () => {
    const all = [
      { aws: { region: "eu-west-1" }, clusterName: "c", auditLog: "-", readOnly: true, allowInsecureEndpoints: true },
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

  test("of the chart are those of crds/: node scripts/chart-crds.ts copies them", () => {
    expect(readdirSync(copies)).toEqual(files);
    const differ = files.filter((file) => !readFileSync(join(copies, file)).equals(readFileSync(join(crds, file))));
    expect(differ).toEqual([]);
  });

  const isDefinition = ({ kind }: Rendered) => kind === "CustomResourceDefinition";
  const bare = ({ metadata, ...rest }: Rendered) => ({ ...rest, metadata: { name: metadata.name } });

  test("are rendered unchanged but for labels and what Helm is to do with them", async () => {
    const rendered = (await render({})).filter(isDefinition);
    const sources = files.map((file) => parse(readFileSync(join(copies, file), "utf8")) as Rendered);
    expect(rendered.map(bare)).toEqual(sources.map(bare));
    for (const { metadata } of rendered) {
      expect(metadata.annotations).toEqual({ "helm.sh/resource-policy": "keep" });
    }
  });

  test("are left out with crds.install off, and not kept with crds.keep off", async () => {
    expect((await render({ crds: { install: false } })).filter(isDefinition)).toEqual([]);
    const rendered = (await render({ crds: { keep: false } })).filter(isDefinition);
    expect(rendered.map(({ metadata }) => metadata.annotations)).toEqual(files.map(() => undefined));
  });
});

describe("the objects", () => {
  test("have the recommended labels, and those of the values, which cannot take a selector's place", async () => {
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

  test("are in the release's namespace, but for those of the cluster", async () => {
    const objects = await render({});
    const namespaces = Object.fromEntries(objects.map(({ kind, metadata }) => [kind, metadata.namespace]));
    expect(namespaces).toEqual({
      CustomResourceDefinition: undefined,
      ClusterRole: undefined,
      ClusterRoleBinding: undefined,
      ServiceAccount: releaseNamespace,
      Service: releaseNamespace,
      Deployment: releaseNamespace,
    });
  });

  test("have Roles in the given namespaces, and nothing of the cluster's, with namespaces", async () => {
    const objects = (await render({ namespaces: ["a", "b"], crds: { install: false } })).map(
      ({ kind, metadata }) => `${kind} in ${metadata.namespace}`,
    );
    const roles = ["Role in a", "RoleBinding in a", "Role in b", "RoleBinding in b"];
    expect(objects.sort()).toEqual(["Deployment in ops", "Service in ops", "ServiceAccount in ops", ...roles].sort());
  });

  test("are without ServiceAccount, rights and Service where these are turned off", async () => {
    const values = { serviceAccount: { create: false, name: "mine" }, rbac: { create: false } };
    const objects = await render({ ...values, metrics: { enabled: false }, crds: { install: false } });
    expect(objects.map(({ kind }) => kind)).toEqual(["Deployment"]);
    expect(deploymentOf(objects).spec.template.spec.serviceAccountName).toBe("mine");
  });

  test("bind the rights to the ServiceAccount that the pod runs as", async () => {
    const objects = await render({ serviceAccount: { create: false, name: "mine" } });
    const binding = objects.find(({ kind }) => kind === "ClusterRoleBinding");
    expect(binding).toMatchObject({
      subjects: [{ kind: "ServiceAccount", name: "mine", namespace: releaseNamespace }],
    });
  });

  test("carry what is given for the pod and the ServiceAccount", async () => {
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

  test("stop the old pod before a new one starts, as there is no leader election", async () => {
    expect(deploymentOf(await render({})).spec).toMatchObject({ replicas: 1, strategy: { type: "Recreate" } });
    expect(deploymentOf(await render({ replicas: 0 })).spec.replicas).toBe(0);
  });

  test("run the operator without privileges and without a file system to write to", async () => {
    const { securityContext, containers } = deploymentOf(await render({})).spec.template.spec;
    expect(securityContext).toEqual({ runAsNonRoot: true, seccompProfile: { type: "RuntimeDefault" } });
    expect(containers[0]!.securityContext).toEqual({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ["ALL"] },
    });
  });

  test("send probes to the port that the operator serves them on, and the Service to that of the metrics", async () => {
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

  test("has neither volumes nor variables where no value asks for any", () => {
    expect(plain).toMatchObject({ volumes: undefined, mounts: undefined, env: undefined });
    expect(plain.securityContext).not.toHaveProperty("fsGroup");
  });

  test("has a volume under the folder of the audit's file, and none for the output", async () => {
    const pod = await podOf({ auditLog: "/var/log/keyferry/audit.jsonl" });
    expect(pod.mounts).toEqual([{ name: "audit", mountPath: "/var/log/keyferry" }]);
    expect(pod.volumes).toEqual([{ name: "audit", emptyDir: { sizeLimit: "1Gi" } }]);
    expect(pod.securityContext).toEqual(plain.securityContext);
    expect((await podOf({ auditLog: "-" })).volumes).toBeUndefined();
  });

  test("has the audit's claim, and its group unless the cluster gives one out", async () => {
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

  test("reaches AWS through proxies, and the API server, Services and credentials straight", async () => {
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
