import { join } from "node:path";
import type { Program } from "../support/supervise.ts";
import type { ControlPlane } from "./build.ts";

/** The address of a cluster that only this machine's processes use. */
export const LOOPBACK = "127.0.0.1";

/** Where a cluster's programs listen and what they share. */
export interface Layout {
  dir: string;
  /** Where kube-apiserver listens. etcd listens on 127.0.0.1. */
  address: string;
  ports: { etcd: number; etcdPeer: number; apiserver: number };
  audit: boolean;
  /** Controllers of kube-controller-manager besides those that every test needs. */
  controllers?: readonly string[];
}

/** The files of a cluster's folder that several programs use. */
export function filesOf(dir: string) {
  return {
    /** Made by kube-apiserver at its first start: its own certificate and the authority's that signed it. */
    ca: join(dir, "certs", "apiserver.crt"),
    certs: join(dir, "certs"),
    tokens: join(dir, "tokens.csv"),
    serviceAccountKey: join(dir, "service-account.key"),
    auditPolicy: join(dir, "audit-policy.yaml"),
    auditLog: join(dir, "audit.jsonl"),
    kubeconfig: join(dir, "admin.kubeconfig"),
    controllerKubeconfig: join(dir, "controller-manager.kubeconfig"),
  };
}

/**
 * RequestReceived would count each request twice. ResponseStarted stays: a watch that is still open has no other line.
 */
export const AUDIT_POLICY = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules: [{level: Metadata}]
`;

/** etcd, without the syncs that make data survive a power cut. */
export function etcd(programs: ControlPlane, { dir, ports }: Layout): Program {
  const client = `http://127.0.0.1:${ports.etcd}`;
  const peer = `http://127.0.0.1:${ports.etcdPeer}`;
  const args = [
    ["--name", "test"],
    ["--data-dir", join(dir, "etcd")],
    ["--listen-client-urls", client],
    ["--advertise-client-urls", client],
    ["--listen-peer-urls", peer],
    ["--initial-advertise-peer-urls", peer],
    ["--initial-cluster", `test=${peer}`],
    ["--log-level", "warn"],
    ["--unsafe-no-fsync"],
  ];
  return { name: "etcd", command: programs.etcd, args: args.flat(), logFile: join(dir, "etcd.log"), graceMs: 0 };
}

/** kube-apiserver with RBAC, tokens from a file, and no limit on requests that a test could run into. */
export function apiserver(programs: ControlPlane, { dir, address, ports, audit }: Layout): Program {
  const files = filesOf(dir);
  const args = [
    `--etcd-servers=http://127.0.0.1:${ports.etcd}`,
    `--bind-address=${address}`,
    `--advertise-address=${address}`,
    `--secure-port=${ports.apiserver}`,
    `--cert-dir=${files.certs}`,
    "--authorization-mode=Node,RBAC",
    `--token-auth-file=${files.tokens}`,
    "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
    `--service-account-signing-key-file=${files.serviceAccountKey}`,
    `--service-account-key-file=${files.serviceAccountKey}`,
    "--service-cluster-ip-range=10.0.0.0/24",
    // Endpoints on a loopback address are refused by validation; without a node nothing goes through the Service.
    `--endpoint-reconciler-type=${address === LOOPBACK ? "none" : "lease"}`,
    // A node's name is in no DNS here.
    "--kubelet-preferred-address-types=InternalIP",
    "--enable-priority-and-fairness=false",
    "--max-requests-inflight=4000",
    "--max-mutating-requests-inflight=2000",
    // Else what a test has left is removed object by object.
    "--delete-collection-workers=16",
    "--profiling=false",
  ];
  if (audit) {
    // In megabytes: a log that is rotated, as it is at 100 when left out, cannot be read on from where a reader was.
    args.push(
      `--audit-policy-file=${files.auditPolicy}`,
      `--audit-log-path=${files.auditLog}`,
      "--audit-log-maxsize=10000",
    );
  }
  return { name: "kube-apiserver", command: programs.apiserver, args, logFile: join(dir, "apiserver.log"), graceMs: 0 };
}

/** The controllers that every test needs. Those of workloads run where a test asks for them: there is no node. */
const CONTROLLERS = [
  "garbage-collector-controller",
  "namespace-controller",
  "serviceaccount-controller",
  "serviceaccount-token-controller",
  "root-ca-certificate-publisher-controller",
  "clusterrole-aggregation-controller",
];

/** kube-controller-manager, narrowed to CONTROLLERS and those that the layout adds. */
export function controllerManager(programs: ControlPlane, { dir, controllers = [] }: Layout): Program {
  const files = filesOf(dir);
  const args = [
    `--kubeconfig=${files.controllerKubeconfig}`,
    `--controllers=${[...CONTROLLERS, ...controllers].join(",")}`,
    "--leader-elect=false",
    "--secure-port=0",
    `--root-ca-file=${files.ca}`,
    `--service-account-private-key-file=${files.serviceAccountKey}`,
    "--kube-api-qps=1000",
    "--kube-api-burst=2000",
    "--profiling=false",
  ];
  const logFile = join(dir, "controller-manager.log");
  return { name: "kube-controller-manager", command: programs.controllerManager, args, logFile, graceMs: 0 };
}
