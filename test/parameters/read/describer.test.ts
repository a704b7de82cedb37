import { expect, it } from "vitest";
import { Describer } from "../../../src/parameters/read/describer.ts";
import { Failure } from "../../../src/runtime/failure.ts";
import { FakeClock, settle } from "../../support/clock.ts";
import { FakeAws } from "../../support/fake-aws.ts";
import { limitersOver } from "../../support/limiters.ts";

function rig() {
  const clock = new FakeClock();
  const aws = new FakeAws(() => clock.now());
  for (const name of ["/d/a", "/d/b", "/d/c"]) aws.put(name, "v");
  const describer = new Describer(limitersOver(clock, 10_000).limiters);
  return { clock, aws, describer, identity: aws.identity() };
}

const namesIn = (described: Awaited<ReturnType<Describer["describe"]>>) =>
  described.state === "described" ? [...described.found.keys()].sort() : described.failure.message;

it("describes names that are requested together in one call, and names requested after it was sent in another", async () => {
  const { aws, describer, identity } = rig();
  const { promise, resolve } = Promise.withResolvers<void>();
  aws.describeFault = () => promise;
  const first = [describer.describe(identity, ["/d/a"], "event"), describer.describe(identity, ["/d/b"], "event")];
  await settle();
  // The answer in flight may be older than this request.
  const later = describer.describe(identity, ["/d/a", "/d/c"], "event");
  await settle();
  expect(aws.descriptions).toEqual([
    ["/d/a", "/d/b"],
    ["/d/a", "/d/c"],
  ]);
  resolve();
  expect(namesIn(await later)).toEqual(["d/a", "d/c"]);
  for (const one of await Promise.all(first)) expect(namesIn(one)).toEqual(["d/a", "d/b"]);
});

it("never shares a call between lanes or identities, and a failure affects only its own call", async () => {
  const { aws, clock, describer, identity } = rig();
  aws.describeFault = () => {
    if (aws.descriptions.length === 1) throw new Failure("Unreachable", "retry", "no answer");
  };
  const asked = [
    describer.describe(identity, ["/d/a"], "event"),
    describer.describe(identity, ["/d/b"], "event"),
    describer.describe(identity, ["/d/a"], "poll"),
    describer.describe(aws.identity("another"), ["/d/a"], "event"),
  ];
  await clock.advance(5_000);
  expect((await Promise.all(asked)).map(namesIn)).toEqual(["no answer", "no answer", ["d/a"], ["d/a"]]);
  expect(aws.descriptions).toHaveLength(3);
  expect(namesIn(await describer.describe(identity, ["/d/b"], "event"))).toEqual(["d/b"]);
});
