import { describe, expect, test } from "vitest";
import { deploymentOf, render } from "./chart.ts";

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

  test("mounts the certificate of the metrics, and none if the process signs it itself", async () => {
    const pod = await podOf({ metrics: { secure: { enabled: true, certSecret: "tls" } } });
    const name = "metrics-certificate";
    expect(pod.mounts).toEqual([{ name, mountPath: "/etc/keyferry/metrics", readOnly: true }]);
    expect(pod.volumes).toEqual([{ name, secret: { secretName: "tls" } }]);
    expect((await podOf({ metrics: { secure: { enabled: true } } })).volumes).toBeUndefined();
  });

  test("uses the audit log's claim, and sets fsGroup unless the cluster assigns it", async () => {
    const auditLog = "/audit/log.jsonl";
    const claimed = await podOf({ auditLog, auditVolume: { claim: "audit" } });
    expect(claimed.volumes).toEqual([{ name: "audit", persistentVolumeClaim: { claimName: "audit" } }]);
    expect(claimed.securityContext).toMatchObject({ fsGroup: 65532 });
    // Each replica has a file of its own.
    expect(claimed.mounts).toEqual([{ name: "audit", mountPath: "/audit", subPathExpr: "$(POD_NAME)" }]);
    expect(claimed.env).toEqual([{ name: "POD_NAME", valueFrom: { fieldRef: { fieldPath: "metadata.name" } } }]);
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
