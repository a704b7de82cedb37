import { afterAll, afterEach, beforeAll, expect, it } from "vitest";
import { groupName, rendezvous } from "../../src/controllers/shards/groups.ts";
import type { Entry } from "../emulator/calls.ts";
import { type RunningOperator, until } from "../support/operator.ts";
import { documents, keysOf, openStage, readyCount, synced } from "./stage.ts";

const stage = await openStage();
const { cluster, aws } = stage;
const own = "keyferry-system";
const shards = 4;
const pollMs = 10_000;
/** `CAMPAIGNS=1`, by `make shards`: more of everything, and a run of one replica to compare with. */
const isCampaign = process.env.CAMPAIGNS !== undefined;
const size = isCampaign ? { resources: 20, parameters: 10, rounds: 4 } : { resources: 2, parameters: 5, rounds: 1 };
/** The campaign's are the defaults: 15 seconds. */
const timing = isCampaign ? [] : ["--lease-duration", "5s", "--renew-deadline", "4s", "--retry-period", "500ms"];
const running = new Map<string, RunningOperator>();
/** Two regions for each shard. */
const regions = Array.from({ length: shards }, (_, shard) => regionsOn(shard).slice(0, 2)).flat();
let started = 0;

beforeAll(async () => {
  await cluster.run(["create", "namespace", own]);
}, 60_000);

afterEach(async () => {
  await Promise.all([...running.values()].map((operator) => operator.kill().catch(() => {})));
  running.clear();
  await cluster.run(["delete", "leases", "--all", "-n", own]);
});
afterAll(() => stage.close());

function regionsOn(shard: number): string[] {
  const parts = ["us", "eu", "ap", "sa", "ca", "af", "me"].flatMap((part) =>
    ["east", "west", "north", "south", "central"].flatMap((side) =>
      [1, 2, 3].map((number) => `${part}-${side}-${number}`),
    ),
  );
  return parts.filter((region) => rendezvous(groupName(aws.account, region), shards) === shard);
}

/** Starts a replica, whose calls to AWS have an access key of its own. @returns its name */
async function start(more: readonly string[] = ["--shards", `${shards}`], kubeconfig?: string): Promise<string> {
  const name = `R${started++}`;
  const env = {
    ...{ POD_NAMESPACE: own, POD_NAME: name.toLowerCase() },
    ...{ AWS_ACCESS_KEY_ID: `AKIA${name}`, AWS_SECRET_ACCESS_KEY: "any" },
  };
  const args = ["--leader-elect", ...timing, ...more];
  running.set(name, await stage.operator(args, { env, ...(kubeconfig ? { kubeconfig, ready: false } : {}) }));
  return name;
}

async function end(name: string, signal: "SIGTERM" | "SIGKILL"): Promise<void> {
  const operator = running.get(name)!;
  running.delete(name);
  process.kill(operator.pid, signal);
  await operator.exited;
}

const readiness = async (name: string) => {
  const answer = await fetch(`${running.get(name)!.probesUrl}/readyz`);
  return `${answer.status} ${(await answer.text()).trim()}`;
};

/** The shards of each replica, by its probe. */
async function owned(): Promise<string[][]> {
  const texts = await Promise.all([...running.keys()].map((name) => readiness(name).catch(() => "")));
  return texts.map((text) => /shards ([0-9 ]+)/.exec(text)?.[1]?.split(" ") ?? []);
}

/** Waits until the replicas own all shards, and none owns two more than another. @returns milliseconds */
async function balanced(): Promise<number> {
  const from = performance.now();
  await until(
    async () => {
      const all = await owned();
      const counts = all.map(({ length }) => length);
      return all.flat().sort().join() === "0,1,2,3" && Math.max(...counts) - Math.min(...counts) <= 1;
    },
    60_000,
    "balanced shards",
  );
  return performance.now() - from;
}

/** A namespace whose SyncedSecrets read in all regions. */
class Fleet {
  readonly namespace: string;
  readonly values = new Map<string, string>();
  /** Parameters that are decrypted because one of their SyncedSecret has changed. */
  changes = 0;

  constructor(namespace: string) {
    this.namespace = namespace;
  }

  async apply(): Promise<void> {
    const { namespace } = this;
    await cluster.run(["create", "namespace", namespace]);
    const objects: object[] = [];
    for (const region of regions) {
      const endpoints = { ssm: aws.url, kms: aws.url, sts: aws.url };
      const allow = { namespaces: { selector: {} }, parameters: ["/*"] };
      const limits = { ssmRequestsPerSecond: 10_000, kmsRequestsPerSecond: 100_000 };
      const spec = { region, endpoints, allow, limits, pollInterval: `${pollMs / 1_000}s` };
      objects.push({
        apiVersion: "keyferry.io/v1alpha1",
        kind: "ClusterAWSConnection",
        metadata: { name: region },
        spec,
      });
      for (let resource = 0; resource < size.resources; resource++) {
        const names = Array.from({ length: size.parameters }, (_, key) => `/${namespace}/${resource}/${key}`);
        for (const name of names) await this.#put(region, name, "first");
        objects.push(
          synced(namespace, `${region}-${resource}`, {
            ...keysOf(names),
            connectionRef: { kind: "ClusterAWSConnection", name: region },
          }),
        );
      }
    }
    await cluster.run(["apply", "--server-side", "-f", "-"], documents(objects));
    await this.ready();
  }

  async ready(): Promise<void> {
    const all = regions.length * size.resources;
    await until(async () => (await readyCount(cluster, this.namespace)) === all, 60_000, `${all} Secrets`);
  }

  /** Changes a parameter in each region, and waits until the Secrets have it. */
  async change(value: string): Promise<void> {
    for (const region of regions) await this.#put(region, `/${this.namespace}/0/0`, value);
    this.changes += regions.length * size.parameters;
    const isThere = async () => {
      const { items } = JSON.parse(await cluster.run(["get", "secrets", "-n", this.namespace, "-o", "json"]));
      return items.every(({ metadata, data }: SecretObject) =>
        Object.entries(data).every(([key, text]) => {
          const [, region, resource] = /^(.*)-([0-9]+)$/.exec(metadata.name)!;
          const wanted = this.values.get(`${region} /${this.namespace}/${resource}/${key.slice(1)}`);
          return Buffer.from(text, "base64").toString() === wanted;
        }),
      );
    };
    await until(isThere, 65_000, `the value ${value} in all Secrets`);
  }

  get parameters(): number {
    return this.values.size;
  }

  async #put(region: string, name: string, value: string): Promise<void> {
    await aws.putParameter({ name, type: "SecureString", value, overwrite: true }, { region });
    this.values.set(`${region} ${name}`, value);
  }
}

interface SecretObject {
  metadata: { name: string };
  data: Record<string, string>;
}

const reads = (from = 0): Entry[] =>
  aws
    .log({ service: "ssm", via: "client" })
    .filter(({ operation, at }) => operation.startsWith("GetParameter") && at >= from);
const namesIn = (entries: readonly Entry[]) => entries.reduce((sum, { names = [] }) => sum + names.length, 0);
const decrypted = () => namesIn(reads().filter(({ decrypt }) => decrypt));

/** By region: its readers in the order of time, each as often as it began after another. */
function readersOf(entries: readonly Entry[]): Map<string, string[]> {
  const readers = new Map<string, string[]>();
  for (const { region, accessKeyId } of entries) {
    const before = readers.get(region) ?? [];
    if (before.at(-1) !== accessKeyId) readers.set(region, [...before, accessKeyId]);
  }
  return readers;
}

it("four shards over three replicas that come and go: each parameter has one reader at a time, and no change is lost", async () => {
  const replicas = await Promise.all([start(), start(), start()]);
  await balanced();
  const fleet = new Fleet(`shards-${started}`);
  aws.resetCalls();
  const beganAt = performance.now();
  await fleet.apply();
  // Each is decrypted once, as by one replica.
  expect(decrypted()).toBe(fleet.parameters);
  for (const [region, readers] of readersOf(reads())) expect(readers, region).toHaveLength(1);
  expect(new Set([...readersOf(reads()).values()].flat()).size).toBe(3);

  let moves = 0;
  for (let round = 0; round < size.rounds; round++) {
    const from = Date.now();
    const leaving = replicas.shift()!;
    const coming = start();
    await end(leaving, round % 2 === 0 ? "SIGKILL" : "SIGTERM");
    replicas.push(await coming);
    expect(await balanced()).toBeLessThan(30_000);
    await fleet.change(`round ${round}`);
    // A region's readers follow each other: none reads again after the next has begun.
    for (const [region, readers] of readersOf(reads(from))) {
      expect(new Set(readers).size, `${region}: ${readers}`).toBe(readers.length);
      moves += readers.length - 1;
    }
    // A third replica may be gone for a while, and come back.
    if (round % 3 === 2) {
      await end(replicas.pop()!, "SIGTERM");
      expect(await balanced()).toBeLessThan(30_000);
      replicas.push(await start());
      expect(await balanced()).toBeLessThan(30_000);
    }
  }
  await fleet.ready();
  const tookMs = performance.now() - beganAt;
  expect(decrypted()).toBe(fleet.parameters + fleet.changes);
  const sharded = namesIn(reads());
  const inRegion = fleet.parameters / regions.length;
  const [owners, sums] = await Promise.all([owned(), Promise.all([...running.keys()].map(leading))]);
  expect(sums).toEqual(owners.map(({ length }) => [length, 1]));
  console.log(
    `${sharded} reads in ${Math.round(tookMs / 1_000)} s, ${moves} moves of a region, ${decrypted()} decrypted`,
  );
  if (isCampaign) {
    await Promise.all(replicas.map((name) => end(name, "SIGTERM")));
    const alone = await oneReplica(tookMs, fleet);
    console.log(`${alone} reads of one replica`);
    expect(sharded).toBeLessThanOrEqual(1.05 * alone + moves * inRegion);
  } else {
    // One replica: the first reads, a look for each poll, and what has changed.
    const polls = Math.ceil(tookMs / pollMs) + 1;
    expect(sharded).toBeLessThanOrEqual(fleet.parameters * (1 + polls) + fleet.changes + moves * inRegion);
  }
}, 1_800_000);

/** The metrics keyferry_shard_owner, as a sum, and keyferry_leader. */
async function leading(name: string): Promise<[number, number]> {
  const operator = running.get(name)!;
  return [await operator.metric("keyferry_shard_owner"), await operator.metric("keyferry_leader")];
}

/** The same work by one replica without shards, in the place of another fleet. @returns the parameters that it read */
async function oneReplica(ms: number, before: Fleet): Promise<number> {
  await cluster.run(["delete", "syncedsecrets", "--all", "-n", before.namespace]);
  await cluster.run(["delete", "clusterawsconnections", "--all"]);
  await start([]);
  const fleet = new Fleet(`alone-${started}`);
  aws.resetCalls();
  const endAt = performance.now() + ms;
  await fleet.apply();
  const roundMs = (endAt - performance.now()) / size.rounds;
  for (let round = 0; round < size.rounds; round++) {
    const nextAt = performance.now() + roundMs;
    await fleet.change(`round ${round}`);
    await new Promise((resolve) => setTimeout(resolve, nextAt - performance.now()));
  }
  await new Promise((resolve) => setTimeout(resolve, endAt - performance.now()));
  expect(decrypted()).toBe(fleet.parameters + fleet.changes);
  return namesIn(reads());
}

it("without rights to list Leases a replica names the verbs, and works on nothing", async () => {
  await cluster.run(["create", "serviceaccount", "powerless", "-n", own]);
  const rules = [
    { apiGroups: ["keyferry.io"], resources: ["*"], verbs: ["get", "list", "watch"] },
    { apiGroups: [""], resources: ["namespaces", "secrets"], verbs: ["get", "list", "watch"] },
  ];
  const role = { apiVersion: "rbac.authorization.k8s.io/v1", kind: "ClusterRole", metadata: { name: "reads" }, rules };
  await cluster.run(["apply", "-f", "-"], documents([role]));
  const account = `${own}:powerless`;
  await cluster.run([
    "create",
    "clusterrolebinding",
    "powerless",
    "--clusterrole",
    "reads",
    "--serviceaccount",
    account,
  ]);
  const name = await start(["--shards", "2"], await cluster.kubeconfigFor(own, "powerless"));
  const message = `list and watch leases.coordination.k8s.io in namespace ${own}`;
  await until(async () => (await readiness(name).catch(() => "")).includes(message), 20_000, "a refusal");
  expect(await readiness(name)).toMatch(/^503 /);
  expect(await running.get(name)!.metric("keyferry_leader")).toBe(0);
}, 60_000);
