import type { SyncedSecret } from "../../../api/types.ts";
import type { KubeClient } from "../../../kube/client/client.ts";
import { ifPresent, KubeError } from "../../../kube/errors.ts";
import { type KubeObject, type ObjectMeta, secrets } from "../../../kube/resource.ts";
import { applySecret, deleteSecret, removeFields } from "../../../kube/write/secret.ts";
import type { WriteLimiter, WriteTurn } from "../../../kube/write/write-limiter.ts";
import { Failure } from "../../../runtime/failure.ts";
import { controllerOf, type SecretView } from "../../secret-view.ts";
import type { Standing } from "../decide/ownership.ts";
import { keysDigest } from "../plan/digest.ts";
import { type Contents, intent, type Target } from "../plan/target.ts";

import { recordOf } from "./managed-fields-entry.ts";
import { writeFailure } from "./write-failure.ts";

/** The outcome of a write; `again` if the Secret has changed since the decision. */
export type Write =
  | { outcome: "written"; metadata?: ObjectMeta }
  | { outcome: "again" }
  | { outcome: "refused"; failure: Failure };

/** Tries of a release while the Secret keeps changing. */
const releaseTries = 5;

/** Writes Secrets, with the resourceVersion of the decision as precondition. */
export class SecretWriter {
  readonly #client: KubeClient;
  readonly #view: SecretView;
  readonly #writes: WriteLimiter;

  /** @param writes shared with the writes of statuses */
  constructor(client: KubeClient, view: SecretView, writes: WriteLimiter) {
    this.#client = client;
    this.#view = view;
    this.#writes = writes;
  }

  /** Applies the complete Secret. If it was absent at the decision, the write can only create it. */
  async apply(
    resource: SyncedSecret,
    target: Target,
    { ownership, ...contents }: Contents & { ownership: Exclude<Standing, { state: "foreign" | "passing" }> },
    turn: WriteTurn,
  ): Promise<Write> {
    const { namespace, name, manager, policy } = target;
    const present = ownership.state === "absent" ? undefined : ownership.metadata;
    // Under Merge never take fields from other managers, unless the Secret was ours under the policy Owner.
    const force = policy !== "Merge" || controllerOf(present) === resource.metadata.uid;
    this.#view.writing(namespace, name);
    try {
      const object = intent(resource, target, contents);
      const expect = present
        ? ({ state: "present", resourceVersion: present.resourceVersion!, uid: present.uid! } as const)
        : ({ state: "absent" } as const);
      const result = await this.#writes.run(turn, namespace, () =>
        applySecret(this.#client, { object, expect, fieldManager: manager, force }),
      );
      if (result.outcome === "written") {
        this.#view.wrote(namespace, name, result.metadata, present?.resourceVersion);
        return { outcome: "written", metadata: result.metadata };
      }
      this.#view.invalidate(namespace, name);
      if (result.outcome === "lookAgain") return { outcome: "again" };
      const others = [...new Set(result.conflicts.map(({ manager: other, field }) => `${field} (${other})`))].sort();
      const message = `Secret ${name}: other field managers own ${others.join(", ")}: remove these fields there, or use other keys`;
      return { outcome: "refused", failure: new Failure("SecretConflict", "wait", message) };
    } catch (error) {
      this.#view.invalidate(namespace, name);
      return { outcome: "refused", failure: writeFailure(error, `Secret ${namespace}/${name}`, sizeOf(contents.data)) };
    }
  }

  /**
   * Restores our managedFields entry in a Secret of ours from which it was removed. Without the entry the API server
   * would treat our keys as another manager's, and keys that are dropped later would stay.
   */
  async restoreRecord(target: Target, metadata: ObjectMeta, turn: WriteTurn): Promise<ObjectMeta | undefined> {
    const { namespace, name } = target;
    const live = await this.#client.get<KubeObject & { data?: Record<string, string> }>(secrets, namespace, name);
    const keys = Object.keys(live.data ?? {});
    const isAllOurs = keysDigest(keys) === metadata.annotations?.[target.keyDigestAnnotation];
    if (!isAllOurs || live.metadata.uid !== metadata.uid) return undefined;
    this.#view.writing(namespace, name);
    const patch = {
      metadata: {
        uid: metadata.uid,
        resourceVersion: live.metadata.resourceVersion,
        managedFields: [recordOf(target.manager, keys, live.metadata)],
      },
    };
    try {
      const fieldManager = target.manager;
      const restored = await this.#writes.run(turn, namespace, () =>
        this.#client.mergePatch<KubeObject>(secrets, { namespace, name }, patch, { fieldManager }),
      );
      this.#view.wrote(namespace, name, restored.metadata, live.metadata.resourceVersion);
      return restored.metadata;
    } catch (error) {
      this.#view.invalidate(namespace, name);
      throw error;
    }
  }

  /** Deletes a Secret of ours, if its uid and resourceVersion have not changed. */
  async remove(namespace: string, name: string, metadata: ObjectMeta, turn: WriteTurn): Promise<Write> {
    this.#view.writing(namespace, name);
    try {
      const expect = { uid: metadata.uid!, resourceVersion: metadata.resourceVersion! };
      const result = await this.#writes.run(turn, namespace, () => deleteSecret(this.#client, namespace, name, expect));
      if (result.outcome === "lookAgain") {
        this.#view.invalidate(namespace, name);
        return { outcome: "again" };
      }
      this.#view.wrote(namespace, name, undefined, metadata.resourceVersion);
      return { outcome: "written" };
    } catch (error) {
      this.#view.invalidate(namespace, name);
      return { outcome: "refused", failure: writeFailure(error, `Secret ${namespace}/${name}`) };
    }
  }

  /**
   * Removes the fields of one of our field managers from a Secret, in the lane bulk.
   *
   * @throws KubeError if the API server rejects it
   */
  async release(namespace: string, name: string, manager: string): Promise<void> {
    for (let tries = 0; tries < releaseTries; tries++) {
      const metadata = await this.#view.look(namespace, name);
      const isOurs = metadata?.managedFields?.some((entry) => entry.manager === manager && entry.operation === "Apply");
      if (!metadata || !isOurs) return;
      const version = { uid: metadata.uid!, resourceVersion: metadata.resourceVersion! };
      const result = await this.#writes.run("bulk", namespace, () =>
        removeFields(this.#client, { namespace, name }, version, manager),
      );
      this.#view.invalidate(namespace, name);
      if (result.outcome === "written") return;
    }
    throw new KubeError("conflict", `Secret ${namespace}/${name} changes too often to remove fields from it`);
  }

  /** The current values of these keys; undefined if there is no Secret. */
  async read(namespace: string, name: string, keys: ReadonlySet<string>): Promise<Map<string, Uint8Array> | undefined> {
    const live = await ifPresent(
      this.#client.get<KubeObject & { data?: Record<string, string> }>(secrets, namespace, name),
    );
    if (!live) return undefined;
    const own = Object.entries(live.data ?? {}).filter(([key]) => keys.has(key));
    return new Map(own.map(([key, text]) => [key, Buffer.from(text, "base64")]));
  }
}

/** A Secret's size for a message: etcd also counts names, which managedFields repeat. */
function sizeOf(data: ReadonlyMap<string, Uint8Array>): string {
  let [values, names] = [0, 0];
  for (const [key, bytes] of data) {
    values += bytes.length;
    names += Buffer.byteLength(key);
  }
  return ` with ${data.size} keys, ${values} bytes of values and ${names} bytes of names, which are stored twice`;
}
