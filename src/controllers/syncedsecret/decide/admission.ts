import type { SyncedSecret } from "../../../api/types.ts";
import { Failure } from "../../../runtime/failure.ts";
import type { GrantAnswer, Granted } from "../../grants.ts";
import { type Plan, plan } from "../plan/plan.ts";
import { type Target, targetOf } from "../plan/target.ts";
import { refusedTargetMetadata } from "../plan/target-metadata.ts";
import type { Outcome } from "./outcome.ts";

/** The operator's own rules for targets. */
export interface TargetRules {
  /** Namespaces in which the operator writes no Secret. */
  protectedNamespaces: ReadonlySet<string>;
  /** Domains of labels and annotations that a target may set although other programs act on them. */
  allowedTargetMetadata: readonly string[];
  /** Whether a namespace is known to be terminating. */
  isTerminating: (namespace: string) => boolean;
}

/** An outcome without any read. */
export interface Rejection {
  outcome: Outcome;
  /** Whether polls continue, so that nothing has to be read again later. */
  keepsPolling: boolean;
}

/** Rejects a resource for which nothing may be read, whatever its connection grants; undefined to go on. */
export function rejectedBySpec(resource: SyncedSecret, rules: TargetRules): Rejection | undefined {
  if (resource.metadata.deletionTimestamp) return { outcome: { kind: "nothing" }, keepsPolling: false };
  if (resource.spec.suspend) return { outcome: { kind: "suspended" }, keepsPolling: false };
  const target = targetOf(resource);
  if (rules.isTerminating(target.namespace)) {
    const { outcome } = rejected([terminating(`Secret ${target.namespace}/${target.name}`)]);
    return { outcome: { ...outcome, isQuiet: true }, keepsPolling: false };
  }
  if (rules.protectedNamespaces.has(target.namespace)) {
    const message = `namespace ${target.namespace} is protected: use another namespace, or change --protected-namespaces`;
    return rejected([new Failure("NotAllowed", "wait", message)]);
  }
  const refused = refusedTargetMetadata(resource.spec.target, rules.allowedTargetMetadata);
  return refused && rejected([refused]);
}

/** What a SyncedSecret may read, or why it may not. */
export type Admission = { granted: Granted; plan: Plan; target: Target } | Rejection;

/**
 * Admits a resource by what its connection grants.
 *
 * @param hasFailed whether the connection's last check failed
 */
export function admit(resource: SyncedSecret, grant: GrantAnswer, hasFailed: boolean): Admission {
  // The connection's first check enqueues its users.
  if (grant.state === "pending") return { outcome: { kind: "nothing" }, keepsPolling: true };
  if (grant.state === "refused") {
    const hasGoodSecret = resource.status?.secretRef !== undefined;
    return {
      outcome: { kind: "failed", problems: [grant.failure], hasGoodSecret },
      // Polls continue while a connection has failed, so that nothing has to be read again once it recovers. If the
      // connection is deleted, or denies this namespace, no more AWS calls are made.
      keepsPolling: hasFailed && grant.failure.reason !== "NotAllowed",
    };
  }
  const { granted } = grant;
  const target = targetOf(resource);
  const planned = plan(resource.spec, granted, { namespace: target.namespace, name: resource.metadata.name! });
  if (planned.refused.length > 0) return rejected(planned.refused);
  return { granted, plan: planned, target };
}

/** The failure of a write into a terminating namespace. */
export function terminating(what: string): Failure {
  return new Failure("NotAllowed", "wait", `${what} is not written: its namespace is being deleted`);
}

function rejected(problems: readonly Failure[]): Rejection {
  return { outcome: { kind: "failed", problems, hasGoodSecret: false }, keepsPolling: false };
}
