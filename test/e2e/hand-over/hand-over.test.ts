import { afterAll, beforeAll, it } from "vitest";
import { openStage, type Stage } from "../stage.ts";
import { Campaign } from "./campaign.ts";
import { shortTiming } from "./replicas.ts";

/** A short form of campaign.test.ts. */

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

it("two hand-overs by SIGTERM and one after SIGKILL miss no change, and set none back", async () => {
  await campaign.handOver();
  await campaign.handOver({ isUnfinished: true });
  await campaign.kill();
  await campaign.finish();
  campaign.check();
}, 180_000);
