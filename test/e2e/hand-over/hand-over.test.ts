import { afterAll, beforeAll, it } from "vitest";
import { openStage, type Stage } from "../stage.ts";
import { Campaign } from "./campaign.ts";
import { shortTiming } from "./replicas.ts";

/** A short form of campaign.test.ts: three rounds of each kind, with short Leases. */

const withinMs = 240_000;
const rounds = [0, 1, 2];
/** Times are those of a machine that runs other tests too, but an event that is lost for a minute is not within them. */
const slack = 7;

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
  "SIGTERM hands over in time",
  async () => {
    for (const round of rounds) await campaign.handOver({ isUnfinished: round === 1 });
  },
  withinMs,
);

it(
  "after SIGKILL the standby takes over in time",
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

it(
  "no change is missed, set back or written more than twice",
  async () => {
    await campaign.finish();
    campaign.check(slack);
  },
  withinMs,
);
