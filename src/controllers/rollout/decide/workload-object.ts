import type { KubeObject } from "../../../kube/resource.ts";
import type { PodSpec } from "./uses.ts";

/** The fields of a workload that are read; all kinds together. */
export interface WorkloadObject extends KubeObject {
  spec?: {
    replicas?: number;
    paused?: boolean;
    template?: Template;
    jobTemplate?: { spec?: { template?: Template } };
    updateStrategy?: { type?: string; rollingUpdate?: { partition?: number } };
  };
  status?: {
    /** A text for a Rollout. */
    observedGeneration?: number | string;
    replicas?: number;
    updatedReplicas?: number;
    availableReplicas?: number;
    desiredNumberScheduled?: number;
    updatedNumberScheduled?: number;
    numberAvailable?: number;
    conditions?: readonly { type?: string; status?: string; reason?: string }[];
    /** Of a Rollout: Healthy, Progressing, Paused or Degraded. */
    phase?: string;
  };
}

interface Template {
  metadata?: { annotations?: Record<string, string> };
  spec?: PodSpec;
}
