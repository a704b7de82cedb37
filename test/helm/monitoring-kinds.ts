// Stand-ins for the Prometheus operator's definitions: the fields that the chart writes, as that operator's API reference types
// them. Unknown fields are refused by `kubectl --validate=strict`.

const text = { type: "string" };
const duration = {
  type: "string",
  pattern: "^(0|(([0-9]+)y)?(([0-9]+)w)?(([0-9]+)d)?(([0-9]+)h)?(([0-9]+)m)?(([0-9]+)s)?(([0-9]+)ms)?)$",
};
const texts = { type: "object", additionalProperties: text };
const listOf = (items: object) => ({ type: "array", items });
const objectOf = (properties: object, ...required: string[]) => ({
  type: "object",
  properties,
  ...(required.length > 0 ? { required } : {}),
});

const relabeling = objectOf({
  sourceLabels: listOf(text),
  separator: text,
  targetLabel: text,
  regex: text,
  modulus: { type: "integer" },
  replacement: text,
  action: text,
});
const secretKey = objectOf({ name: text, key: text }, "name", "key");
const tlsConfig = objectOf({
  serverName: text,
  insecureSkipVerify: { type: "boolean" },
  ca: objectOf({ secret: secretKey }),
});
const endpoint = {
  scheme: { type: "string", enum: ["http", "https"] },
  authorization: objectOf({ credentials: secretKey }),
  tlsConfig,
  port: text,
  path: text,
  honorLabels: { type: "boolean" },
  interval: duration,
  scrapeTimeout: duration,
  relabelings: listOf(relabeling),
  metricRelabelings: listOf(relabeling),
};
const monitor = (endpoints: string, more: object = {}) =>
  objectOf(
    {
      selector: objectOf({ matchLabels: texts }),
      namespaceSelector: objectOf({ matchNames: listOf(text) }),
      [endpoints]: listOf(objectOf({ ...endpoint, ...more })),
    },
    "selector",
    endpoints,
  );
const rule = objectOf(
  { alert: text, record: text, expr: text, for: duration, labels: texts, annotations: texts },
  "expr",
);
const rules = objectOf({ groups: listOf(objectOf({ name: text, interval: duration, rules: listOf(rule) }, "name")) });

/** CustomResourceDefinitions of ServiceMonitor, PodMonitor and PrometheusRule, for a test's cluster. */
export const monitoringKinds = [
  definition("ServiceMonitor", monitor("endpoints", { bearerTokenFile: text })),
  definition("PodMonitor", monitor("podMetricsEndpoints")),
  definition("PrometheusRule", rules),
];

function definition(kind: string, spec: object): object {
  const singular = kind.toLowerCase();
  const schema = { openAPIV3Schema: objectOf({ spec }, "spec") };
  return {
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: { name: `${singular}s.monitoring.coreos.com` },
    spec: {
      group: "monitoring.coreos.com",
      scope: "Namespaced",
      names: { kind, singular, plural: `${singular}s` },
      versions: [{ name: "v1", served: true, storage: true, schema }],
    },
  };
}
