import type { KubeObject } from "../../src/kube/resource.ts";

/** The Secret that holds a connection's access key. */
export interface AccessKey {
  namespace: string;
  /** The Secret's name; default `aws-credentials`. */
  name?: string;
  /** Default AKIAKEYFERRYTEST. */
  accessKeyId?: string;
}

/** A ClusterAWSConnection to an emulator, and the Secret with its access key. @param spec replaces fields of its own */
export function connectionManifests(
  connection: string,
  url: string,
  { namespace, name = "aws-credentials", accessKeyId = "AKIAKEYFERRYTEST" }: AccessKey,
  spec: object = {},
): { credentials: KubeObject; connection: KubeObject } {
  const credentials = {
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name, namespace },
    stringData: { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: "any" },
  };
  const manifest = {
    apiVersion: "keyferry.io/v1alpha1",
    kind: "ClusterAWSConnection",
    metadata: { name: connection },
    spec: {
      region: "eu-west-1",
      auth: { secretRef: { name, namespace } },
      endpoints: { ssm: url, kms: url, sts: url },
      ...spec,
    },
  };
  return { credentials, connection: manifest };
}
