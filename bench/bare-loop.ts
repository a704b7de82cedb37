import { fieldManager } from "../src/api/annotations.ts";
import type { SyncedSecret } from "../src/api/types.ts";
import { type KubeObject, namespaces, secrets, syncedSecrets } from "../src/kube/resource.ts";
import { synced } from "../test/e2e/stage.ts";
import type { Ground } from "./ground.ts";
import { atOnce } from "./kubernetes.ts";
import { type Load, specOf } from "./load.ts";

/** The operator's writes for one resource: the templates for the bare loop. */
export interface Pattern {
  secret: KubeObject;
  status: NonNullable<SyncedSecret["status"]>;
}

/** Lets the operator sync one resource like those of `load`, and captures its writes. */
export async function patternOf(ground: Ground, load: Load): Promise<Pattern> {
  const one: Load = { ...load, name: "pattern", resources: 1 };
  await ground.synced(one);
  const resource = await ground.client.get<SyncedSecret & KubeObject>(syncedSecrets, one.name, "r0");
  const live = await ground.client.get<KubeObject & { data: object; type: string }>(secrets, one.name, "r0");
  const { labels, annotations, ownerReferences } = live.metadata;
  const metadata = { labels, annotations, ownerReferences } as KubeObject["metadata"];
  const secret = { apiVersion: "v1", kind: "Secret", metadata, type: live.type, data: live.data } as KubeObject;
  return { secret, status: resource.status! };
}

/**
 * Makes the two writes of each resource's first sync, with the operator's own bodies, in a loop without other work,
 * 32 at once.
 *
 * @param name an empty namespace
 * @returns resources a second
 */
export async function bareLoop(ground: Ground, name: string, load: Load, pattern: Pattern): Promise<number> {
  const { client } = ground;
  await ground.apply(namespaces, undefined, name, {});
  const uids: string[] = [];
  await atOnce(load.resources, async (index) => {
    const object = synced(name, `r${index}`, specOf(load, index)) as KubeObject;
    uids[index] = (await client.create(syncedSecrets, object)).metadata.uid!;
  });

  const options = { fieldManager, force: true };
  const [owner] = pattern.secret.metadata.ownerReferences!;
  const begun = performance.now();
  await atOnce(load.resources, async (index) => {
    const meta = { namespace: name, name: `r${index}` };
    const ownerReferences = [{ ...owner!, name: meta.name, uid: uids[index]! }];
    // A version that no object has: like the operator's, the apply can only create.
    const metadata = { ...pattern.secret.metadata, ...meta, ownerReferences, resourceVersion: "1" };
    await client.apply(secrets, { ...pattern.secret, metadata }, options);
    const object = {
      apiVersion: "keyferry.io/v1alpha1",
      kind: "SyncedSecret",
      metadata: { ...meta, uid: uids[index]! },
    };
    const status = { ...object, status: pattern.status } as KubeObject;
    await client.apply(syncedSecrets, status, { ...options, subresource: "status" });
  });
  const perSecond = load.resources / ((performance.now() - begun) / 1_000);
  await ground.remove(secrets, name);
  await ground.remove(syncedSecrets, name);
  return perSecond;
}
