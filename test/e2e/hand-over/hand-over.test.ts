import { afterAll, beforeAll, it } from "vitest";
import { openStage, type Stage } from "../stage.ts";
import { Campaign } from "./campaign.ts";
import { shortTiming } from "./replicas.ts";

/**
 * A short form of campaign.test.ts: three rounds of each kind, with short Leases. The times are not checked: other tests
 * run beside it.
 */

const withinMs = 600_000;
const rounds = [0, 1, 2];

let stage: Stage;
let campaign: Campaign;

beforeAll(async () => {
  stage = await openStage();
  campaign = await Campaign.open(stage, shortTiming, 200);
}, 180_000);
afterAll(async () => {
  process.stdout.write(`\n${campaign?.figures}\n`);
  await campaign?.close();
  await stage?.close();
});

it(
  "SIGTERM hands over",
  async () => {
    for (const round of rounds) await campaign.handOver({ isUnfinished: round === 1 });
  },
  withinMs,
);

it(
  "after SIGKILL the standby takes over",
  async () => {
    for (const _ of rounds) await campaign.kill();
  },
  withinMs,
);

it(
  "a leader that is frozen, cut off or late sets nothing back",
  async () => {
    for (const _ of rounds) {
      await campaign.freeze();
      await campaign.cut();
      await campaign.delay();
    }
  },
  withinMs,
);

it("no change is missed, set back or written more than twice", () => campaign.finish(), withinMs);
