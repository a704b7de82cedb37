import { setTimeout as sleep } from "node:timers/promises";
import { awsConnections, secrets } from "../../src/kube/resource.ts";
import type { RowFigure } from "../figures.ts";
import type { Ground } from "../ground.ts";
import { distinct, type Load } from "../load.ts";
import { say } from "../progress.ts";
import type { Row } from "./row.ts";

const operators = 4;
const quota = 40;
const foreignRate = 4;
const foreignKey = "AKIAFOREIGNREADER";

export const neighboursRow: Row = {
  name: "12",
  about: "four operators in bulk sync and a foreign reader of 4 requests a second, behind one quota of 40",
  async run(ground) {
    return [...(await share(ground, 8, 60, 0, 1)), ...(await share(ground, 20, 75, 20, 5))];
  },
};

/**
 * @param limit requests a second of each operator
 * @param seconds how long the foreign reader reads
 * @param settleSeconds seconds at the start that do not count
 * @param atMost target for the throttled share of the foreign reader's calls, in percent
 */
async function share(ground: Ground, limit: number, seconds: number, settleSeconds: number, atMost: number) {
  // Slightly more work than each operator can do in the time.
  const each = Math.ceil(1.15 * seconds * Math.min(limit, quota / operators));
  const loads = Array.from({ length: operators }, (_, index): Load => {
    const spec = { connectionRef: { kind: "AWSConnection", name: "aws" } } as const;
    return { ...distinct(`neighbour-${limit}-${index}`, ground.size(each), 10), spec };
  });
  await ground.fresh(...loads);
  await ground.door.ask("quota", quota);
  for (const [index, { name }] of loads.entries()) await connect(ground, name, `AKIANEIGHBOUR${index}`, limit);
  await ground.door.put(["/foreign/parameter"]);

  say(`  ${operators} operators at ${limit} requests a second each, for ${seconds} s`);
  // An AWSConnection has no endpoints; the SDK takes them from the environment.
  const env = { AWS_ENDPOINT_URL: ground.door.url };
  await Promise.all(loads.map(({ name }) => ground.operator({ args: ["--namespaces", name], env })));
  const begun = performance.now();
  const sinceMs = Date.now() + settleSeconds * 1_000;
  const reads: Promise<boolean>[] = [];
  for (let index = 0; index < seconds * foreignRate; index++) {
    await sleep(Math.max(0, begun + (index * 1_000) / foreignRate - performance.now()));
    reads.push(ground.door.readAs(foreignKey, "/foreign/parameter"));
  }
  await Promise.all(reads);

  const log = (await ground.door.ask("log", { service: "ssm" })).filter(({ at }) => at >= sinceMs);
  await ground.clear();
  const ofForeign = log.filter(({ accessKeyId }) => accessKeyId === foreignKey);
  const throttled = ofForeign.filter(({ error }) => error === "ThrottlingException").length;
  const own = log.filter(({ accessKeyId }) => accessKeyId !== foreignKey);
  const ownThrottled = own.filter(({ error }) => error === "ThrottlingException").length;
  const ownRate = (own.length - ownThrottled) / (seconds - settleSeconds);
  const settled = settleSeconds > 0 ? `, after ${settleSeconds} s` : "";
  const figures: RowFigure[] = [
    {
      what: `foreign reader throttled, limits ${limit} each${settled}`,
      value: (100 * throttled) / ofForeign.length,
      unit: "%",
      goal: { atMost },
      note: `${throttled} of ${ofForeign.length}`,
    },
    {
      what: `operators together, limits ${limit} each${settled}`,
      value: ownRate,
      unit: "/s",
      limit: Math.min(operators * limit, quota - foreignRate),
      note: `${((100 * ownThrottled) / own.length).toFixed(1)}% throttled`,
    },
  ];
  return figures;
}

/** An AWSConnection with its own access key and `limit` requests a second. */
async function connect(ground: Ground, namespace: string, accessKeyId: string, limit: number): Promise<void> {
  const stringData = { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: "any" };
  await ground.apply(secrets, namespace, "aws", { stringData });
  await ground.apply(awsConnections, namespace, "aws", {
    spec: {
      region: "eu-west-1",
      auth: { secretRef: { name: "aws" } },
      limits: { ssmRequestsPerSecond: limit, kmsRequestsPerSecond: 10_000 },
    },
  });
}
