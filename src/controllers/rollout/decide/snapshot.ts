import type { Opening } from "../../windows.ts";
import type { Pod } from "./pods.ts";
import type { Workload } from "./workload.ts";

/** A SyncedSecret whose workloads are restarted. */
export interface Request {
  /** namespace/name of the SyncedSecret. */
  key: string;
  /** The Secret's name. */
  secret: string;
  /** The annotation that holds the restart revision in pod templates. */
  mark: string;
  /** The Secret's restart revision; undefined until its bytes change for the first time: then nothing is restarted. */
  revision: string | undefined;
  /** When the Secret was last written, in milliseconds since the epoch, by the API server's clock, to the second. */
  changedAt: number;
  /** When this process saw the restart revision for the first time, in monotonic milliseconds. */
  seenAt: number;
  /** The workloads of mode Listed, as `idOf` names them; undefined for Auto. */
  targets: readonly string[] | undefined;
  /** The workloads that are restarted before all others, as `idOf` names them. */
  first: readonly string[];
  /** How long `first` must have been available, and since when it is, in monotonic milliseconds. */
  bake: {
    ms: number;
    since: number | undefined;
    /** Since when it is broken: they were available, and are not any more. */
    brokenSince?: number | undefined;
  };
  /** Whether one workload is restarted after the other. */
  isOneByOne: boolean;
  /** Whether nothing more is restarted once a restart has failed. */
  pausesOnFailure: boolean;
  /** Since when all workloads run with the restart revision, in milliseconds since the epoch; undefined if they do not. */
  rolledOutAt: number | undefined;
  /** Whether a restart that fails sets the Secret back. */
  revertsOnFailure: boolean;
  /** Whether the Secret will not be set back for the present version: it cannot be, or a person has approved the version. */
  isSettled: boolean;
  /**
   * The restart revision of bytes that are held back, and from when to when the Secret did not have the last good ones, in
   * milliseconds since the epoch: workloads and pods with bytes of that time are set back at once.
   */
  heldBack: { revision: string; since: number; until: number } | undefined;
  minIntervalMs: number;
  /** Whether restarts may begin. */
  opening: Opening;
  /** For StatefulSets and DaemonSets, which have no deadline of their own. */
  progressDeadlineMs: number;
  /** What the status records of each workload. */
  records: ReadonlyMap<string, RestartRecord>;
  /** The workloads whose restart for the restart revision has ended well, or has failed and not ended well since. */
  completed: ReadonlySet<string>;
  failed: ReadonlySet<string>;
  /** The workloads that ran with the restart revision when the status was written. */
  current: ReadonlySet<string>;
}

/** The last restart of a workload for one Secret. */
export interface RestartRecord {
  /** The restart revision; undefined if the annotation was removed, since the last good bytes have none. */
  revision: string | undefined;
  /** Whether somebody took the restart back, and it was repeated. */
  putBack: boolean;
  /** What `availableWith` gave for the template with which the workload was available; undefined if it was not. */
  availableWith?: string | undefined;
}

/** The last restart of a workload by this process. */
export interface Restart {
  /** Monotonic milliseconds. */
  at: number;
  /** The workload's generation after it: another one means that somebody has changed the workload since. */
  generation: number;
  /** What it was restarted for, by annotation. */
  records: ReadonlyMap<string, RestartRecord>;
}

/** A restart that the API server has refused. */
export interface Refusal {
  /** When to try again, in monotonic milliseconds. */
  until: number;
}

/** The state of one namespace. */
export interface NamespaceSnapshot {
  /** Milliseconds since the epoch. */
  now: number;
  monotonic: number;
  requests: readonly Request[];
  workloads: readonly Workload[];
  pods: readonly Pod[];
  /** By the workload's uid. */
  restarts: ReadonlyMap<string, Restart>;
  /** Restarts that the API server has refused, by `idOf` of the workload. */
  refusals: ReadonlyMap<string, Refusal>;
  /** Workloads of this namespace whose rollout may be in progress at once: the limit less those of other namespaces. */
  slots: number;
}

/** The state of one namespace, with its pods by `idOf` of their workload. */
export interface IndexedSnapshot extends NamespaceSnapshot {
  podsOf: ReadonlyMap<string, readonly Pod[]>;
}

/** `status.workloads[].state`: the CRD describes each. */
export type State =
  | "FirstNotReady"
  | "Missing"
  | "Failed"
  | "Undone"
  | "Halted"
  | "Paused"
  | "Manual"
  | "OutsideWindow"
  | "Restarting"
  | "BehindFirst"
  | "Waiting"
  | "Owned"
  | "Current"
  | "NoRestartNeeded";

/** A workload from the view of one Secret. */
export interface Finding {
  kind: string;
  name: string;
  uses: readonly string[];
  state: State;
  record: RestartRecord | undefined;
  /** Number of pods that were created before the Secret's bytes changed. */
  stalePods: number;
  /** How it failed; set if its restart alone can be the cause: it was available, and nobody else changed its template. */
  failure?: string;
}
