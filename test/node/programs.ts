import { join } from "node:path";
import type { NodePrograms } from "../cluster/build.ts";
import type { ClusterHandle } from "../cluster/handle.ts";
import type { Program } from "../support/supervise.ts";
import { BUSYBOX_IMAGE } from "./images.ts";
import type { Sandbox } from "./sandbox.ts";

export const NODE_NAME = "node";
export const SOCKET = "/run/containerd/containerd.sock";

/** The files of a sandbox's folder that the programs read, with their contents. */
export function filesFor({ dir, cgroup, podSubnet }: Sandbox, cluster: ClusterHandle): Record<string, string> {
  const clientConnection = { kubeconfig: cluster.kubeconfigPath };
  return {
    "containerd.toml": `version = 2
root = "${dir}/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.snapshotter.v1.devmapper"]
[grpc]
address = "${SOCKET}"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "${BUSYBOX_IMAGE}"
# Where this process may not lower its own score, runc fails without this.
restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/usr/lib/cni"
conf_dir = "${dir}/cni"
`,
    "cni/node.conflist": JSON.stringify({
      cniVersion: "0.4.0",
      name: "pods",
      plugins: [
        {
          type: "bridge",
          bridge: "cni0",
          isGateway: true,
          hairpinMode: true,
          ipam: { type: "host-local", ranges: [[{ subnet: podSubnet }]], routes: [{ dst: "0.0.0.0/0" }] },
        },
      ],
    }),
    "kubelet.json": JSON.stringify({
      apiVersion: "kubelet.config.k8s.io/v1beta1",
      kind: "KubeletConfiguration",
      containerRuntimeEndpoint: `unix://${SOCKET}`,
      // Only this machine reaches it.
      authentication: { anonymous: { enabled: true }, webhook: { enabled: false } },
      authorization: { mode: "AlwaysAllow" },
      cgroupDriver: "cgroupfs",
      cgroupRoot: `/${cgroup}`,
      failCgroupV1: false,
      enforceNodeAllocatable: [],
      failSwapOn: false,
      localStorageCapacityIsolation: false,
      // The machine's disk may be as full as it likes.
      evictionHard: { "nodefs.available": "0%", "imagefs.available": "0%" },
      imageGCHighThresholdPercent: 100,
      // How long a changed Secret takes to reach files: the default is 1m.
      syncFrequency: "10s",
      volumePluginDir: join(dir, "volume-plugins"),
    }),
    "proxy.json": JSON.stringify({
      apiVersion: "kubeproxy.config.k8s.io/v1alpha1",
      kind: "KubeProxyConfiguration",
      mode: "iptables",
      clientConnection,
      hostnameOverride: NODE_NAME,
      clusterCIDR: podSubnet,
      // The machine's limits, which a network namespace cannot change.
      conntrack: { maxPerCore: 0, min: 0, tcpEstablishedTimeout: "0s", tcpCloseWaitTimeout: "0s" },
    }),
    "scheduler.json": JSON.stringify({
      apiVersion: "kubescheduler.config.k8s.io/v1",
      kind: "KubeSchedulerConfiguration",
      clientConnection,
      leaderElection: { leaderElect: false },
    }),
  };
}

export function containerd({ dir }: Sandbox): Program {
  const args = ["--config", join(dir, "containerd.toml")];
  return { name: "containerd", command: "containerd", args, logFile: join(dir, "containerd.log"), graceMs: 0 };
}

export function kubelet(programs: NodePrograms, { dir, nodeAddress }: Sandbox, cluster: ClusterHandle): Program {
  const args = [
    `--config=${join(dir, "kubelet.json")}`,
    `--kubeconfig=${cluster.kubeconfigPath}`,
    `--root-dir=${join(dir, "kubelet")}`,
    `--cert-dir=${join(dir, "kubelet-certs")}`,
    `--hostname-override=${NODE_NAME}`,
    `--node-ip=${nodeAddress}`,
  ];
  return { name: "kubelet", command: programs.kubelet, args, logFile: join(dir, "kubelet.log"), graceMs: 0 };
}

export function proxy(programs: NodePrograms, { dir }: Sandbox): Program {
  const args = [`--config=${join(dir, "proxy.json")}`];
  return { name: "kube-proxy", command: programs.proxy, args, logFile: join(dir, "proxy.log"), graceMs: 0 };
}

/** Runs inside too: its ports are fixed. */
export function scheduler(programs: NodePrograms, { dir }: Sandbox): Program {
  const args = [`--config=${join(dir, "scheduler.json")}`, "--secure-port=0"];
  return { name: "kube-scheduler", command: programs.scheduler, args, logFile: join(dir, "scheduler.log"), graceMs: 0 };
}
