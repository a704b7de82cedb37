import { setTimeout as sleep } from "node:timers/promises";
import { secrets, syncedSecrets } from "../../src/kube/resource.ts";
import { until } from "../../test/support/operator.ts";
import type { RowFigure } from "../figures.ts";
import type { Ground } from "../ground.ts";
import { distinct, parametersOf } from "../load.ts";
import { say } from "../progress.ts";
import { bulkLoad, isOperatorsWrite } from "./bulk.ts";
import type { Row } from "./row.ts";

/** The shortest interval that a connection accepts. */
const pollIntervalMs = 10_000;

export const pollRow: Row = {
  name: "4",
  about: "polls of 3,000 parameters of 300 resources with nothing changed",
  async run(ground) {
    const load = distinct("first", ground.size(300), 10);
    await ground.synced(load);
    await ground.quota("none", { pollInterval: "10s" });
    await ground.operator();
    say("  two rounds of polls, in which parameters find their batches");
    await sleep(2 * pollIntervalMs);
    await ground.door.ask("resetCalls");
    await ground.audit.take();
    await sleep(pollIntervalMs);
    const calls = await ground.door.ask("log", { service: "ssm" });
    const names = calls.flatMap((call) => call.names ?? []);
    const parameters = parametersOf(load).length;
    const polled = `${new Set(names).size} of ${parameters} parameters, ${names.length} reads`;
    const fewest = Math.ceil(parameters / 10);
    const perPoll = Math.round((calls.length * parameters) / Math.max(1, names.length));
    // Batches of a round that starts or ends within the interval may be partial.
    const goal = { atMost: Math.ceil(1.02 * fewest) };
    return [
      { what: "calls for one poll of all parameters", value: perPoll, unit: "", goal, limit: fewest, note: polled },
      ...(await idleCosts(ground)),
    ];
  },
};

export const restartRow: Row = {
  name: "5",
  about: "a restart with 2,000 resources of 3 SecureStrings unchanged",
  async run(ground) {
    const load = bulkLoad(ground);
    await ground.synced(load);
    await ground.quota("none");
    await ground.door.ask("resetCalls");
    await ground.audit.take();

    const { client } = ground;
    const listing = performance.now();
    await Promise.all([client.list(syncedSecrets), client.list(secrets, { metadataOnly: true })]);
    const limit = (performance.now() - listing) / 1_000;

    const parameters = parametersOf(load).length;
    const begun = performance.now();
    const operator = await ground.operator({ ready: false });
    const isSettled = async () => {
      if ((await operator.metric("keyferry_watched_parameters")) < parameters) return false;
      if ((await operator.metric("keyferry_syncs_total")) < load.resources) return false;
      return (await operator.metric("keyferry_queue_depth")) === 0;
    };
    await until(() => isSettled().catch(() => false), 60_000, "everything registered");
    const seconds = (performance.now() - begun) / 1_000;
    await sleep(2_000);
    return [
      {
        what: "process start to every resource registered and an empty queue",
        value: seconds,
        unit: "s",
        goal: { atMost: 3 },
        limit,
        note: "lower bound: both lists by a bare client in a running process",
      },
      ...(await idleCosts(ground)),
    ];
  },
};

/** The work since the last measurement, although nothing changed. */
async function idleCosts(ground: Ground): Promise<RowFigure[]> {
  const { door, audit } = ground;
  const decrypted = await door.ask("count", { service: "ssm", decrypt: true });
  const decrypts = decrypted + (await door.ask("count", { service: "kms" }));
  const requests = await audit.take();
  const writes = requests.filter(isOperatorsWrite).length;
  const reads = requests.filter(
    ({ verb, resource, userAgent }) => verb === "get" && resource === "secrets" && userAgent.startsWith("keyferry/"),
  ).length;
  const goal = { atMost: 0 };
  return [
    { what: "decryptions", value: decrypts, unit: "", goal },
    { what: "Kubernetes writes", value: writes, unit: "", goal },
    { what: "reads of Secrets", value: reads, unit: "", goal },
  ];
}
