import { setPriority } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { parentPort, workerData } from "node:worker_threads";
import { secrets, syncedSecrets } from "../src/kube/resource.ts";
import { openClient } from "./kubernetes.ts";

/** The actions of a hostile namespace during a measurement. */
export interface AttackOptions {
  kubeconfig: string;
  metricsUrl: string;
  namespace: string;
  /** Clients that scrape the operator's metrics continuously. */
  scrapers: number;
  /** Edits of the Secret `fought`. */
  editsASecond: number;
  /** SyncedSecrets `costly0`, `costly1`, … with expensive templates; one is refreshed five times a second. */
  costly: number;
}

/** Niceness of the thread (nice(7)): in a real cluster this load runs on other machines. */
const niceness = 10;

const { kubeconfig, metricsUrl, namespace, scrapers, editsASecond, costly } = workerData as AttackOptions;
// On Linux this is the priority of the calling thread.
setPriority(niceness);
const { client, close } = openClient(kubeconfig);
const abort = new AbortController();
const { signal } = abort;
const counts = { scrapes: 0, edits: 0, refreshes: 0 };

const every = async (what: keyof typeof counts, ms: number, act: (index: number) => Promise<unknown>) => {
  for (let index = 0; !signal.aborted; index++) {
    const next = performance.now() + ms;
    await act(index).then(
      () => counts[what]++,
      () => {},
    );
    await sleep(Math.max(0, next - performance.now()), undefined, { signal }).catch(() => {});
  }
};
const scrape = async () => (await fetch(metricsUrl, { signal })).arrayBuffer();
const edit = (index: number) =>
  client.mergePatch(
    secrets,
    { namespace, name: "fought" },
    { data: { K0: Buffer.from(`${index}`).toString("base64") } },
  );
const refresh = (index: number) =>
  client.mergePatch(
    syncedSecrets,
    { namespace, name: `costly${index % costly}` },
    {
      metadata: { annotations: { "keyferry.io/refresh": `${index}` } },
    },
  );

const going = [
  ...Array.from({ length: scrapers }, () => every("scrapes", 0, scrape)),
  every("edits", 1_000 / editsASecond, edit),
  every("refreshes", 200, refresh),
];
parentPort!.once("message", () => {
  abort.abort();
  void Promise.all(going)
    .then(close)
    .then(() => parentPort!.postMessage(counts));
});
