import type { SyncedSecret } from "../../api/types.ts";
import type { KubeClient } from "../../kube/client.ts";
import { KubeError } from "../../kube/errors.ts";
import { type KubeObject, type ObjectMeta, secrets } from "../../kube/resource.ts";
import { applySecret, deleteSecret, removeFields } from "../../kube/secret.ts";
import type { WriteLimiter, WriteTurn } from "../../kube/write-limiter.ts";
import { Failure } from "../../runtime/failure.ts";
import { controllerOf, type SecretView } from "../secret-view.ts";
import { recordOf } from "./record.ts";
import { writeFailure } from "./refused.ts";
import { keysDigest } from "./revision.ts";
import { intent, type Standing, type Target } from "./target.ts";

/** How a write came out; `again` where what it was decided upon has changed meanwhile. */
export type Write =
  | { outcome: "written"; metadata?: ObjectMeta }
  | { outcome: "again" }
  | { outcome: "refused"; failure: Failure };

/** Looks at a Secret that changes meanwhile, before it is left for later. */
const releaseTries = 5;

/** Writes Secrets, each write upon the version that it was decided upon. */
export class SecretWriter {
  readonly #client: KubeClient;
  readonly #view: SecretView;
  readonly #writes: WriteLimiter;

  /** @param writes the places for writes, which status writes share */
  constructor(client: KubeClient, view: SecretView, writes: WriteLimiter) {
    this.#client = client;
    this.#view = view;
    this.#writes = writes;
  }

  /** Applies the whole Secret: creates it where there is none, and never anything else then. */
  async apply(
    resource: SyncedSecret,
    target: Target,
    standing: Exclude<Standing, { state: "foreign" | "passing" }>,
    data: ReadonlyMap<string, Uint8Array>,
    made: { revision: string; retained: ReadonlySet<string> },
    turn: WriteTurn,
  ): Promise<Write> {
    const { namespace, name, manager, policy } = target;
    const present = standing.state === "absent" ? undefined : standing.metadata;
    // Under Merge nothing is taken from others; what we own as its former owner is no other's.
    const force = policy !== "Merge" || controllerOf(present) === resource.metadata.uid;
    this.#view.writing(namespace, name);
    try {
      const object = intent(resource, target, data, made.revision, made.retained);
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
      const message = `Secret ${name}: other field managers have set ${others.join(", ")}: remove these fields there, or use other keys`;
      return { outcome: "refused", failure: new Failure("SecretConflict", "wait", message) };
    } catch (error) {
      this.#view.invalidate(namespace, name);
      return { outcome: "refused", failure: writeFailure(error, `Secret ${namespace}/${name}`, sizeOf(data)) };
    }
  }

  /**
   * Gives the record of who set what back to a Secret of ours from which it was wiped. Without it the API server would
   * take every key for somebody else's, and a key that is dropped later would stay.
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
        this.#client.mergePatch<KubeObject>(secrets, namespace, name, patch, { fieldManager }),
      );
      this.#view.wrote(namespace, name, restored.metadata, live.metadata.resourceVersion);
      return restored.metadata;
    } catch (error) {
      this.#view.invalidate(namespace, name);
      throw error;
    }
  }

  /** Deletes a Secret of ours, if it is still the one that was looked at. */
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
   * Takes back what a field manager of ours set in somebody else's Secret; nobody waits for it.
   *
   * @throws KubeError where the API server does not let it
   */
  async release(namespace: string, name: string, manager: string): Promise<void> {
    for (let tries = 0; tries < releaseTries; tries++) {
      const metadata = await this.#view.look(namespace, name);
      const isOurs = metadata?.managedFields?.some((entry) => entry.manager === manager && entry.operation === "Apply");
      if (!metadata || !isOurs) return;
      const version = { uid: metadata.uid!, resourceVersion: metadata.resourceVersion! };
      const result = await this.#writes.run("bulk", namespace, () =>
        removeFields(this.#client, namespace, name, version, manager),
      );
      this.#view.invalidate(namespace, name);
      if (result.outcome === "written") return;
    }
    throw new KubeError("conflict", `Secret ${namespace}/${name} changes too fast to take anything back`);
  }

  /** What a Secret has now under these keys; undefined where there is no Secret. */
  async read(namespace: string, name: string, keys: ReadonlySet<string>): Promise<Map<string, Uint8Array> | undefined> {
    try {
      const live = await this.#client.get<KubeObject & { data?: Record<string, string> }>(secrets, namespace, name);
      const own = Object.entries(live.data ?? {}).filter(([key]) => keys.has(key));
      return new Map(own.map(([key, text]) => [key, Buffer.from(text, "base64")]));
    } catch (error) {
      if (error instanceof KubeError && error.kind === "notFound") return undefined;
      throw error;
    }
  }
}

/** What a Secret takes, in the words of a message: etcd counts names too, which managedFields holds once more. */
function sizeOf(data: ReadonlyMap<string, Uint8Array>): string {
  let [values, names] = [0, 0];
  for (const [key, bytes] of data) {
    values += bytes.length;
    names += Buffer.byteLength(key);
  }
  return ` with ${data.size} keys, ${values} bytes of values and ${names} bytes of names, which are stored twice`;
}
