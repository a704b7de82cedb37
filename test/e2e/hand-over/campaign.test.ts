import { afterAll, beforeAll, beforeEach, it } from "vitest";
import { openStage, type Stage } from "../stage.ts";
import { Campaign } from "./campaign.ts";
import { defaultTiming } from "./replicas.ts";

/** Rounds of each kind under a load of 1,000 SyncedSecrets and five changes a second: `make ha`, about forty minutes. */

const withinMs = 3_600_000;
const skewMs = 600_000;
let stage: Stage;
let campaign: Campaign;

beforeAll(async () => {
  stage = await openStage();
  campaign = await Campaign.open(stage, defaultTiming, 1_000);
}, 300_000);
beforeEach(() => campaign.restart());
afterAll(async () => {
  process.stdout.write(`\n${campaign?.figures}\n`);
  await campaign?.close();
  await stage?.close();
});

async function times(count: number, round: (index: number) => Promise<void>): Promise<void> {
  for (let index = 0; index < count; index++) await round(index);
}

it(
  "SIGTERM hands over in time, and no change is missed",
  () => times(20, (n) => campaign.handOver({ isUnfinished: n % 4 === 3 })),
  withinMs,
);

it(
  "clocks that differ by ten minutes change nothing about a hand-over",
  async () => {
    await times(5, (index) => campaign.handOver({ skewMs: index % 2 === 0 ? skewMs : -skewMs }));
  },
  withinMs,
);

it("after SIGKILL no change is missed", () => times(20, (n) => campaign.kill({ isUnfinished: n % 4 === 3 })), withinMs);

it(
  "a leader that is frozen beyond its Lease writes nothing when it thaws",
  () => times(5, () => campaign.freeze()),
  withinMs,
);

it("a leader that is cut off from the API server writes nothing", () => times(5, () => campaign.cut()), withinMs);

it(
  "requests of a leader that arrive after its term set nothing back",
  () => times(5, () => campaign.delay()),
  withinMs,
);

it(
  "all changes are in their Secrets, none was set back, and none was written more than twice",
  () => campaign.finish(),
  withinMs,
);

it(
  "of two replicas that both lead, the late one sets nothing back",
  () => {
    return times(5, () => campaign.bothLead({ forMs: 25_000, lateMs: 1_500 }));
  },
  withinMs,
);

it("the figures are within the bounds of docs/high-availability.md", () => campaign.check());
