import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { awsConnections, type KubeObject, namespaces, secrets, syncedSecrets } from "../../src/kube/resource.ts";
import { keysOf, synced } from "../../test/e2e/stage.ts";
import type { RunningOperator } from "../../test/support/operator.ts";
import type { AttackOptions } from "../attack.ts";
import { percentile, type RowFigure } from "../figures.ts";
import type { Ground } from "../ground.ts";
import { atOnce, type Following, follow, isReady } from "../kubernetes.ts";
import { say } from "../progress.ts";
import type { Row } from "./row.ts";

const neighbour = "neighbour";
const hostile = "hostile";
/** Repetitions of each measurement, alone and beside the hostile namespace. With 100, the worst two decide p99. */
const tries = 200;
/** Milliseconds between two repetitions. */
const pauseMs = 120;
/** The hostile namespace's load: resources with ten names each behind one request a second, and foreign annotations. */
const flood = { resources: 1_100, names: 10, secrets: 300, annotationBytes: 250_000, scrapers: 20, editsASecond: 60 };

export const hostileRow: Row = {
  name: "13",
  about: "a namespace's new resources, repairs and changes, alone and beside a hostile namespace",
  async run(ground) {
    await ground.clear();
    const queueUrl = await prepare(ground);
    const alone = await measured(ground, queueUrl, async () => () => Promise.resolve());
    const beside = await measured(ground, queueUrl, (operator) => attack(ground, operator));
    await Promise.all([neighbour, hostile].map((namespace) => clear(ground, namespace)));
    return (["new", "repair", "change"] as const).map((what): RowFigure => {
      const bound = percentile(alone[what], 0.99);
      return {
        what: `${names[what]} beside the hostile namespace, 99th percentile`,
        value: beside[what].length === tries ? percentile(beside[what], 0.99) : null,
        unit: "ms",
        ...(bound === null ? {} : { goal: { atMost: 2 * bound }, limit: bound }),
        note: `median ${percentile(beside[what], 0.5)?.toFixed(0)} ms; ${beside[what].length} of ${tries} completed; alone ${bound?.toFixed(0)} ms, median ${percentile(alone[what], 0.5)?.toFixed(0)} ms`,
      };
    });
  },
};

const names = { new: "a new resource to Ready", repair: "an edit to its repair", change: "an event to the new Secret" };

type Latencies = Record<keyof typeof names, number[]>;

/** Creates both namespaces and the neighbour's objects. Returns the queue that announces changes. */
async function prepare(ground: Ground): Promise<string> {
  const { door } = ground;
  await door.ask("quota", "none");
  for (const namespace of [neighbour, hostile]) await ground.apply(namespaces, undefined, namespace, {});
  await door.put(Array.from({ length: tries }, (_, index) => `/${neighbour}/n${index}`));
  await door.put([`/${neighbour}/edited`, `/${neighbour}/changed`]);
  for (const name of ["edited", "changed"]) {
    await ground.client.create(syncedSecrets, synced(neighbour, name, keysOf([`/${neighbour}/${name}`])) as KubeObject);
  }
  const queueUrl = await door.ask("createQueue", "keyferry-hostile");
  await ground.quota("none", { pollInterval: "1h", events: { queueUrl } });
  return queueUrl;
}

/**
 * Starts an operator and measures the neighbour.
 *
 * @param begin starts the concurrent load, and returns a function that ends it
 */
async function measured(
  ground: Ground,
  queueUrl: string,
  begin: (operator: RunningOperator) => Promise<() => Promise<void>>,
): Promise<Latencies> {
  const seen = new Map<string, () => void>();
  const tell = (key: string) => {
    const done = seen.get(key);
    seen.delete(key);
    done?.();
  };
  const { client } = ground;
  const watches: Following[] = [
    await follow(client, { resource: syncedSecrets, namespace: neighbour }, ({ key, after }) => {
      if (after && isReady(after)) tell(`ready ${key}`);
    }),
    await follow(client, { resource: secrets, namespace: neighbour, metadataOnly: true }, ({ key }) => tell(key)),
  ];
  // An AWSConnection has no endpoints; the SDK takes them from the environment.
  const operator = await ground.operator({ env: { AWS_ENDPOINT_URL: ground.door.url } });
  await ground.door.ask("eventsTo", queueUrl);
  await sleep(3_000);
  say("  the neighbour begins");
  const end = await begin(operator);
  const latencies: Latencies = { new: [], repair: [], change: [] };
  for (let index = 0; index < tries; index++) {
    await changeOnce(ground, seen, latencies, index);
    await sleep(pauseMs);
  }
  await end();
  await ground.stopOperators();
  await Promise.all(watches.map((watch) => watch.stop()));
  await ground.remove(syncedSecrets, neighbour);
  for (const name of ["edited", "changed"]) {
    await client.create(syncedSecrets, synced(neighbour, name, keysOf([`/${neighbour}/${name}`])) as KubeObject);
  }
  return latencies;
}

/** One new resource, one edit and one change, in sequence. */
async function changeOnce(
  { client, door }: Ground,
  seen: Map<string, () => void>,
  latencies: Latencies,
  index: number,
): Promise<void> {
  const timed = async (what: keyof Latencies, key: string, act: () => Promise<unknown>, skip = 0) => {
    let [left, done] = [skip, () => {}];
    const came = new Promise<boolean>((resolve) => {
      done = () => {
        if (left-- > 0) seen.set(key, done);
        else resolve(true);
      };
    });
    const begun = performance.now();
    seen.set(key, done);
    await act();
    const isIn = await Promise.race([came, sleep(20_000, false)]);
    seen.delete(key);
    if (isIn) latencies[what].push(performance.now() - begun);
  };
  const name = `n${index}`;
  const object = synced(neighbour, name, keysOf([`/${neighbour}/${name}`])) as KubeObject;
  await timed("new", `ready ${neighbour}/${name}`, () => client.create(syncedSecrets, object));
  const data = { K0: Buffer.from(`edit ${index}`).toString("base64") };
  // A different Secret each time: the operator repairs a repeatedly edited Secret less often.
  const edited = index === 0 ? "edited" : `n${index - 1}`;
  // The first change that the watch shows is the edit itself.
  const edit = () =>
    client.mergePatch(secrets, { namespace: neighbour, name: edited }, { data }, { fieldManager: "kubectl-edit" });
  await timed("repair", `${neighbour}/${edited}`, edit, 1);
  const put = { name: `/${neighbour}/changed`, type: "SecureString", value: `change ${index}` } as const;
  await timed("change", `${neighbour}/changed`, () => door.ask("putParameter", put));
}

/** Starts everything at once that a namespace can do to its neighbours. @returns a function that ends it */
async function attack(ground: Ground, operator: RunningOperator): Promise<() => Promise<void>> {
  const { client } = ground;
  say(`  the hostile namespace begins: ${JSON.stringify(flood)}`);
  await ground.apply(secrets, hostile, "aws", {
    stringData: { AWS_ACCESS_KEY_ID: "AKIAHOSTILE", AWS_SECRET_ACCESS_KEY: "any" },
  });
  await ground.apply(awsConnections, hostile, "slow", {
    spec: { region: "eu-west-1", auth: { secretRef: { name: "aws" } }, limits: { ssmRequestsPerSecond: 1 } },
  });
  const connectionRef = { kind: "AWSConnection", name: "slow" } as const;
  await atOnce(ground.size(flood.resources), (index) => {
    const parameters = Array.from({ length: flood.names }, (_, key) => `/${hostile}/r${index}/k${key}`);
    return client.create(
      syncedSecrets,
      synced(hostile, `r${index}`, { connectionRef, ...keysOf(parameters) }) as KubeObject,
    );
  });
  const annotations = { "example.com/notes": "x".repeat(flood.annotationBytes) };
  const labels = { "keyferry.io/synced-secret": "true" };
  await atOnce(ground.size(flood.secrets), (index) =>
    client.create(secrets, {
      apiVersion: "v1",
      kind: "Secret",
      metadata: { namespace: hostile, name: `fat${index}`, labels, annotations },
    }),
  );
  await prepareExpensive(ground);
  // In a separate thread at a lower priority: a tenant's programs do not run on the operator's processors, and must
  // not delay the measurement.
  const attacker: AttackOptions = {
    kubeconfig: ground.cluster.kubeconfigPath,
    metricsUrl: operator.metricsUrl,
    namespace: hostile,
    ...{ scrapers: flood.scrapers, editsASecond: flood.editsASecond, costly },
  };
  const worker = new Worker(new URL("../attack.ts", import.meta.url), { workerData: attacker });
  return async () => {
    const [counts] = await Promise.all([once(worker, "message"), worker.postMessage("end")]);
    say(`  the hostile namespace ends: ${JSON.stringify(counts[0])}`);
    await worker.terminate();
  };
}

/** Resources whose JMESPath expressions and patterns are the most expensive. */
const costly = 5;

/** A Secret to fight over, and values that are expensive to query. */
async function prepareExpensive({ client, door }: Ground): Promise<void> {
  // A value of maximum size: an object beside a list, which a filter compares with each other.
  const text = (keys: number, items: number) =>
    JSON.stringify({
      o: Object.fromEntries(Array.from({ length: keys }, (_, index) => [`k${index}`, index])),
      l: Array.from({ length: items }, (_, index) => index),
    });
  await door.ask("putParameter", {
    name: `/${hostile}/json`,
    type: "SecureString",
    value: text(400, 900),
    tier: "Advanced",
  });
  await door.put([`/${hostile}/fought`]);
  await client.create(syncedSecrets, synced(hostile, "fought", keysOf([`/${hostile}/fought`])) as KubeObject);
  const filters = [
    "l[?$.o]",
    "l[*].[$.o][]",
    "sort_by(l[*].{a: $.o, b: @}, &b)[0]",
    "to_string($.o)",
    "l[?$.o == $.o]",
  ];
  for (const [index, jmesPath] of filters.entries()) {
    const data = [{ key: "K", parameter: { name: `/${hostile}/json` }, jmesPath }];
    await client.create(syncedSecrets, synced(hostile, `costly${index}`, { data }) as KubeObject);
  }
}

async function clear(ground: Ground, namespace: string): Promise<void> {
  await ground.remove(secrets, namespace);
  await ground.remove(syncedSecrets, namespace);
  if (namespace === hostile) await ground.remove(awsConnections, namespace);
}
