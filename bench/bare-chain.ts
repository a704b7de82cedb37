import { type KubeObject, namespaces, secrets, syncedSecrets } from "../src/kube/resource.ts";
import { keysOf, synced } from "../test/e2e/stage.ts";
import type { Ground } from "./ground.ts";
import { Arrivals, isReady } from "./kubernetes.ts";

/** Number of measured repetitions. */
const times = 30;
const parameter = "/chain/k";
const data = { K0: Buffer.from("value").toString("base64") };

/**
 * The minimum latency of a change by an event, with its steps in sequence and no other load: the event through the
 * queue, one read, one write of a Secret, and its watch event.
 *
 * @returns milliseconds of each repetition, from the response to PutParameter
 */
export async function eventChain(ground: Ground): Promise<number[]> {
  const { door, client } = ground;
  await ground.apply(namespaces, undefined, "chain", {});
  const queueUrl = await door.ask("createQueue", "keyferry-bench-bare");
  await door.ask("eventsTo", queueUrl);
  const followed = { resource: secrets, namespace: "chain", metadataOnly: true };
  const arrivals = await Arrivals.of(client, followed, () => true);
  const taken: number[] = [];
  for (let index = 0; index < times; index++) {
    const event = door.receive(queueUrl);
    await door.ask("putParameter", { name: parameter, type: "SecureString", value: `${index}` });
    const begun = performance.now();
    await event;
    await door.readAs("AKIAKEYFERRYBENCH", parameter);
    await ground.apply(secrets, "chain", `event${index}`, { data });
    await arrivals.reach(index + 1, 10_000);
    taken.push(arrivals.times.get(`chain/event${index}`)! - begun);
  }
  await arrivals.stop();
  await door.ask("clearEvents");
  await ground.remove(secrets, "chain");
  return taken;
}

/**
 * The minimum latency of a new resource, measured the same way: its creation, one read, a write of its Secret and one
 * of its status, and the watch event.
 *
 * @returns milliseconds of each repetition, from before the creation
 */
export async function creationChain(ground: Ground): Promise<number[]> {
  const { door, client } = ground;
  await ground.apply(namespaces, undefined, "chain", {});
  await door.put([parameter]);
  const arrivals = await Arrivals.of(client, { resource: syncedSecrets, namespace: "chain" }, isReady);
  const condition = { type: "Ready", status: "True", reason: "Synced", message: "", lastTransitionTime: new Date() };
  const status = { observedGeneration: 1, conditions: [condition] };
  const taken: number[] = [];
  for (let index = 0; index < times; index++) {
    const name = `creation${index}`;
    const begun = performance.now();
    const object = (await client.create(
      syncedSecrets,
      synced("chain", name, keysOf([parameter])) as KubeObject,
    )) as KubeObject;
    await door.readAs("AKIAKEYFERRYBENCH", parameter);
    await ground.apply(secrets, "chain", name, { data });
    const { apiVersion, kind } = object;
    const whole = { apiVersion, kind, metadata: { namespace: "chain", name }, status } as KubeObject;
    await client.apply(syncedSecrets, whole, { fieldManager: "bench", force: true, subresource: "status" });
    await arrivals.reach(index + 1, 10_000);
    taken.push(arrivals.times.get(`chain/${name}`)! - begun);
  }
  await arrivals.stop();
  await ground.remove(secrets, "chain");
  await ground.remove(syncedSecrets, "chain");
  return taken;
}
