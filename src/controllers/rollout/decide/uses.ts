/** How a pod uses a Secret. Only ImagePullSecret needs no restart: the kubelet reads it for each pull. */
export type Use = "Env" | "EnvFrom" | "Volume" | "ImagePullSecret";

/** The part of a pod's spec that can name Secrets. Anything else in it is ignored. */
export interface PodSpec {
  containers?: readonly Container[];
  initContainers?: readonly Container[];
  ephemeralContainers?: readonly Container[];
  volumes?: readonly Volume[];
  imagePullSecrets?: readonly Named[];
}

interface Named {
  name?: string;
}

interface Container {
  env?: readonly { valueFrom?: { secretKeyRef?: Named } }[];
  envFrom?: readonly { secretRef?: Named }[];
}

interface Volume {
  secret?: { secretName?: string };
  projected?: { sources?: readonly { secret?: Named }[] };
  csi?: { nodePublishSecretRef?: Named };
}

/** The Secrets that a pod's spec names, each with how it is used, without duplicates and in the order of `Use`. */
export function usesOf(spec: PodSpec): ReadonlyMap<string, readonly Use[]> {
  const { containers = [], initContainers = [], ephemeralContainers = [], volumes = [], imagePullSecrets = [] } = spec;
  const found: [use: Use, name: string | undefined][] = [];
  const all = [...containers, ...initContainers, ...ephemeralContainers];
  for (const { env = [] } of all) for (const one of env) found.push(["Env", one.valueFrom?.secretKeyRef?.name]);
  for (const { envFrom = [] } of all) for (const one of envFrom) found.push(["EnvFrom", one.secretRef?.name]);
  for (const { secret, projected, csi } of volumes) {
    found.push(["Volume", secret?.secretName], ["Volume", csi?.nodePublishSecretRef?.name]);
    for (const source of projected?.sources ?? []) found.push(["Volume", source.secret?.name]);
  }
  for (const { name } of imagePullSecrets) found.push(["ImagePullSecret", name]);
  const uses = new Map<string, Use[]>();
  for (const [use, name] of found) {
    if (!name) continue;
    const ways = uses.get(name) ?? [];
    if (!ways.includes(use)) uses.set(name, [...ways, use]);
  }
  return uses;
}
