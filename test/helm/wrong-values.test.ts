import { expect, test } from "vitest";
import { template } from "./chart.ts";

/** Values files that are wrong, each with what the message must name: the value, and what would be right. */
const wrong: Record<string, [file: string, names: string, right: string]> = {
  "a negative number of replicas": ["replicas: -1", "at '/replicas'", "minimum: got -1, want 0"],
  "replicas as text": ['replicas: "2"', "at '/replicas'", "got string, want integer"],
  "replicas without leader election": [
    "{leaderElection: {enabled: false}, strategy: {type: Recreate}}",
    "replicas is 2, but leaderElection.enabled is false",
    "set leaderElection.enabled to true, or replicas to 1",
  ],
  "rolling updates without leader election": [
    "{replicas: 1, leaderElection: {enabled: false}}",
    "strategy.type is RollingUpdate, but leaderElection.enabled is false",
    "set strategy.type to Recreate, or leaderElection.enabled to true",
  ],
  "a lease shorter than its renewal": [
    "leaderElection: {leaseDuration: 5s}",
    "leaderElection.leaseDuration is 5s",
    "must be longer than leaderElection.renewDeadline, which is 10s",
  ],
  "a renewal without time for a second try": [
    "leaderElection: {retryPeriod: 9s}",
    "leaderElection.renewDeadline is 10s",
    "must be longer than 1.2 times leaderElection.retryPeriod, which is 9s",
  ],
  "shards without leader election": [
    "{replicas: 1, strategy: {type: Recreate}, leaderElection: {enabled: false, shards: 4}}",
    "leaderElection.shards is 4, but leaderElection.enabled is false",
    "set leaderElection.enabled to true, or leaderElection.shards to 1",
  ],
  "a lease without a unit": [
    "leaderElection: {leaseDuration: 15}",
    "at '/leaderElection/leaseDuration'",
    "want string",
  ],
  "an unknown strategy": ["strategy: {type: BlueGreen}", "at '/strategy/type'", "'RollingUpdate', 'Recreate'"],
  "an update that can replace no pod": [
    "strategy: {rollingUpdate: {maxSurge: 0}}",
    "strategy.rollingUpdate.maxSurge and maxUnavailable are both 0",
    "set one of them to 1",
  ],
  "two bounds of a disruption budget": [
    "podDisruptionBudget: {minAvailable: 1, maxUnavailable: 2}",
    "podDisruptionBudget has both minAvailable and maxUnavailable",
    "set one of them",
  ],
  "a percentage over 100": [
    "podDisruptionBudget: {maxUnavailable: 150%}",
    "at '/podDisruptionBudget/maxUnavailable'",
    "does not match pattern '^([0-9]|[1-9][0-9]|100)%$",
  ],
  "an unknown scope": ["scope: namespace", "at '/scope'", "'auto', 'cluster', 'namespaces'"],
  "the scope namespaces without names": [
    "scope: namespaces",
    "scope: namespaces needs the names",
    "set namespaces, or scope: cluster",
  ],
  "the scope cluster with names": [
    "{scope: cluster, namespaces: [a]}",
    "scope: cluster is for all namespaces, but namespaces has names",
    "remove namespaces, or set scope: namespaces",
  ],
  "a default connection without namespaces": [
    "defaultConnection: a/aws",
    "defaultConnection is only for an installation with namespaces",
    "remove defaultConnection, or set namespaces",
  ],
  "a region with namespaces": [
    "{namespaces: [a], aws: {region: eu-west-1}}",
    "aws.region makes a ClusterAWSConnection",
    "name an AWSConnection in defaultConnection, or remove namespaces",
  ],
  "namespaces of a feature that is off": [
    "rbac: {rollouts: {namespaces: [a]}}",
    "rbac.rollouts.namespaces has names, but rbac.rollouts.enabled is false",
    "set it to true, or remove the names",
  ],
  "restarts in a namespace where the operator does not work": [
    "{namespaces: [a], rbac: {rollouts: {enabled: true, namespaces: [b]}}}",
    "rbac.rollouts.namespaces has b, which is not one of namespaces",
    "add it to namespaces, or remove it",
  ],
  "restarts of a kind that is no workload": [
    "rbac: {rollouts: {enabled: true, kinds: [Job]}}",
    "at '/rbac/rollouts/kinds/0'",
    "'Deployment', 'StatefulSet', 'DaemonSet', 'Rollout'",
  ],
  "restarts of no kind": ["rbac: {rollouts: {kinds: []}}", "at '/rbac/rollouts/kinds'", "minItems: got 0, want 1"],
  "restarts of one kind twice": [
    "rbac: {rollouts: {kinds: [Deployment, Deployment]}}",
    "at '/rbac/rollouts/kinds'",
    "items at 0 and 1 are equal",
  ],
  "a negative number of restarts": [
    "rbac: {rollouts: {maxConcurrent: -1}}",
    "at '/rbac/rollouts/maxConcurrent'",
    "minimum: got -1, want 0",
  ],
  "half a restart": ["rbac: {rollouts: {maxConcurrent: 0.5}}", "at '/rbac/rollouts/maxConcurrent'", "want integer"],
  "rights of a feature that the operator does not have": [
    "rbac: {pushes: {enabled: true, namespaces: [a]}}",
    "rbac.pushes.enabled is true, but this version writes no parameters",
    "set it to false",
  ],
  "a feature in a namespace where the operator does not work": [
    "{namespaces: [a], rbac: {serviceAccountTokens: {enabled: true, namespaces: [b]}}}",
    "rbac.serviceAccountTokens.namespaces has b, which is not one of namespaces",
    "add it to namespaces, or remove it",
  ],
  "the old name of the common labels": ["labels: {a: b}", "labels is now commonLabels", "rename it in your values"],
  "a label that is a number": ["commonLabels: {cost: 5}", "at '/commonLabels/cost'", "got number, want string"],
  "an annotation that is a boolean": ["podAnnotations: {a: true}", "at '/podAnnotations/a'", "want string"],
  "one port for metrics and probes": [
    "metrics: {port: 8081}",
    "metrics.port and healthProbe.port are both 8081",
    "set different ports",
  ],
  "a privileged port": ["healthProbe: {port: 80}", "at '/healthProbe/port'", "minimum: got 80, want 1,024"],
  "both monitors": [
    "metrics: {serviceMonitor: {enabled: true}, podMonitor: {enabled: true}}",
    "metrics.serviceMonitor and metrics.podMonitor would each scrape every pod",
    "set enabled of one of them to false",
  ],
  "a monitor of metrics that are off": [
    "metrics: {enabled: false, serviceMonitor: {enabled: true}}",
    "metrics.serviceMonitor.enabled is true, but metrics.enabled is false",
    "set metrics.enabled to true",
  ],
  "secure metrics that are off": [
    "metrics: {enabled: false, secure: {enabled: true}}",
    "metrics.secure.enabled is true, but metrics.enabled is false",
    "set metrics.enabled to true, or metrics.secure.enabled to false",
  ],
  "readers of metrics that everybody may read": [
    "metrics: {secure: {readers: [{kind: User, name: a}]}}",
    "metrics.secure has a certSecret, readers or a tokenSecret, but metrics.secure.enabled is false",
    "set it to true, or remove them",
  ],
  "a PodMonitor without a token": [
    "metrics: {secure: {enabled: true}, podMonitor: {enabled: true}}",
    "metrics.podMonitor cannot use the token of Prometheus' own ServiceAccount",
    "set metrics.secure.tokenSecret.name, or use metrics.serviceMonitor",
  ],
  "a ServiceAccount without its namespace among the readers": [
    "metrics: {secure: {enabled: true, readers: [{kind: ServiceAccount, name: prometheus}]}}",
    "metrics.secure.readers has the ServiceAccount prometheus without a namespace",
    "add its namespace",
  ],
  "a tag in the digest": ["image: {digest: v1.0.0}", "at '/image/digest'", "'^(sha256:[0-9a-f]{64})?$'"],
  "a scheme in the registry": ["image: {registry: https://mirror.example}", "at '/image/registry'", "pattern"],
  "a name instead of a pull secret": ["imagePullSecrets: [registry]", "at '/imagePullSecrets/0'", "want object"],
  "an unknown field of a volume": [
    "extraVolumes: [{name: a, configmap: {name: b}}]",
    "at '/extraVolumes/0'",
    "additional properties 'configmap' not allowed",
  ],
  "an additional container without a name": [
    "extraContainers: [{image: a}]",
    "'/extraContainers/0'",
    "missing property 'name'",
  ],
  "an additional container named as the operator's": [
    "extraContainers: [{name: keyferry, image: a}]",
    "extraContainers has a container named keyferry",
    "give it another name",
  ],
  "a flag without its dashes": [
    "extraArgs: [log-level, debug]",
    'extraArgs has "log-level"',
    "write each flag with its value, as --flag=value",
  ],
  "an unknown IP family": [
    "metrics: {service: {ipFamilies: [ipv4]}}",
    "at '/metrics/service/ipFamilies/0'",
    "'IPv4', 'IPv6'",
  ],
  "two sources of certificates": [
    "extraCa: {configMap: a, secret: b}",
    "extraCa takes its certificates from one place",
    "remove extraCa.configMap or extraCa.secret",
  ],
  "a readiness probe that never succeeds": [
    "readinessProbe: {successThreshold: 0}",
    "at '/readinessProbe/successThreshold'",
    "minimum: got 0, want 1",
  ],
  "less time to stop than the operator needs": [
    "terminationGracePeriodSeconds: 5",
    "at '/terminationGracePeriodSeconds'",
    "minimum: got 5, want 10",
  ],
};

test("there are at least thirty wrong files", () => {
  expect(Object.keys(wrong).length).toBeGreaterThanOrEqual(30);
});

test.each(Object.entries(wrong))("the chart refuses %s", async (_, [file, names, right]) => {
  const { stdout, stderr, code } = await template(file);
  expect({ stdout, code }).toEqual({ stdout: "", code: 1 });
  expect(stderr).toContain(names);
  expect(stderr).toContain(right);
});
