import { beforeEach, describe, expect, it } from "vitest";
import type { Identity } from "../../../src/aws/identity.ts";
import { Failure } from "../../../src/runtime/failure.ts";
import { type ObserverRig, observerRig, parameterOf, pathOf, subscription } from "../../support/observer.ts";

const second = 1_000;
const minute = 60_000;
let rig: ObserverRig;
let identity: Identity;

beforeEach(() => {
  rig = observerRig();
  identity = rig.aws.identity();
});

const entryOf = (name: string) => rig.observer.entry(parameterOf(identity, name))!;
const stampOf = (name: string) => entryOf(name).state.stamp;
const toldOf = () => rig.told.map(({ dependent }) => dependent);
const look = (name: string) => rig.observer.look([parameterOf(identity, name)], "bulk");

/** Makes AWS answer with the version before the last. @returns a function that undoes it */
function asBefore(name: string): () => void {
  const now = structuredClone(rig.aws.parameters.get(name)!);
  const then = structuredClone(now);
  then.versions.delete(then.latest);
  then.latest -= 1;
  rig.aws.parameters.set(name, then);
  return () => void rig.aws.parameters.set(name, now);
}

async function twoVersions(name: string): Promise<void> {
  rig.aws.put(name, "1");
  rig.observer.depend("ns/one", [subscription(parameterOf(identity, name))]);
  await look(name);
  await rig.clock.advance(second);
  rig.aws.put(name, "2");
  await look(name);
  rig.told.length = 0;
}

describe("an answer older than the last one", () => {
  it("causes another look within seconds, and no notification if the newer version is back", async () => {
    await twoVersions("/a");
    const back = asBefore("/a");
    await look("/a");
    expect(stampOf("/a")?.version).toBe(2);
    back();
    rig.aws.calls.length = 0;
    await rig.clock.advance(6 * second);
    expect(rig.aws.calls).toHaveLength(1);
    expect(entryOf("/a").state.staleAnswer).toBeUndefined();
    expect(toldOf()).toEqual([]);
  });

  it("notifies the dependent when it is repeated, and is believed after a minute", async () => {
    await twoVersions("/a");
    asBefore("/a");
    await look("/a");
    await rig.clock.advance(6 * second);
    expect(toldOf()).toEqual(["ns/one"]);
    await rig.clock.advance(50 * second);
    expect(stampOf("/a")?.version).toBe(2);
    await rig.clock.advance(10 * second);
    expect(stampOf("/a")?.version).toBe(1);
    expect(toldOf()).toEqual(["ns/one", "ns/one"]);
  });

  it("is believed at once for a refresh request", async () => {
    await twoVersions("/a");
    asBefore("/a");
    const read = await rig.observer.values(parameterOf(identity, "/a"), "interactive", { fresh: true });
    expect(read.state === "values" && read.values.get("/a")?.version).toBe(1);
  });

  it("restarts its minute if the next answer is older still", async () => {
    await twoVersions("/a");
    await rig.clock.advance(second);
    rig.aws.put("/a", "3");
    await look("/a");
    asBefore("/a");
    await look("/a");
    await rig.clock.advance(50 * second);
    asBefore("/a");
    await rig.clock.advance(30 * second);
    expect(stampOf("/a")?.version).toBe(3);
    await rig.clock.advance(minute);
    expect(stampOf("/a")?.version).toBe(1);
  });

  it("for a member of a path is believed after a minute too", async () => {
    for (const value of ["1", "2"]) {
      rig.aws.put("/p/a", value);
      await rig.clock.advance(second);
    }
    const path = pathOf(identity, "/p");
    rig.observer.depend("ns/one", [subscription(path)]);
    await rig.observer.look([path], "bulk");
    asBefore("/p/a");
    await rig.observer.look([path], "bulk");
    const member = () => rig.observer.entry(path)!.members.get("/p/a")!;
    expect(member().stamp?.version).toBe(2);
    await rig.clock.advance(70 * second);
    expect(member().stamp?.version).toBe(1);
  });

  it("does not cause repeated looks while AWS denies them", async () => {
    await twoVersions("/a");
    asBefore("/a");
    await look("/a");
    rig.aws.fault = () => {
      throw new Failure("AccessDenied", "wait", "denied");
    };
    rig.aws.calls.length = 0;
    await rig.clock.advance(10 * minute);
    expect(rig.aws.calls.length).toBeLessThan(5);
  });
});

it("a modification time in the far future does not make later answers stale", async () => {
  rig.aws.put("/a", "1");
  rig.observer.depend("ns/one", [subscription(parameterOf(identity, "/a"))]);
  const stored = rig.aws.parameters.get("/a")!;
  const { modified } = stored.versions.get(1)!;
  stored.versions.get(1)!.modified = Date.UTC(2100, 0, 1);
  await look("/a");
  stored.versions.get(1)!.modified = modified;
  await look("/a");
  expect(stampOf("/a")?.modified).toBe(modified);
  await rig.clock.advance(second);
  rig.aws.put("/a", "2");
  await rig.clock.advance(6 * minute);
  expect(stampOf("/a")?.version).toBe(2);
});

describe("the previous status of a dependent", () => {
  const version = (number: number, modified = 1) => ({ version: number, modified });

  it("does not change the shared entry, and causes a notification only if AWS's answer differs", async () => {
    rig.aws.put("/a", "1");
    const reference = parameterOf(identity, "/a");
    const right = version(1, rig.clock.now());
    rig.observer.depend("ns/right", [{ ...subscription(reference), stored: right }]);
    rig.observer.depend("ns/wrong", [{ ...subscription(reference), stored: version(7) }]);
    rig.observer.depend("ns/left", [{ ...subscription(reference), stored: "left" }]);
    expect(entryOf("/a").state).toEqual({});
    await look("/a");
    expect(toldOf().sort()).toEqual(["ns/left", "ns/wrong"]);
    expect(entryOf("/a").stored).toBeUndefined();
  });

  it("of a path causes a notification if a member was added, changed or deleted", async () => {
    for (const name of ["/p/a", "/p/b"]) rig.aws.put(name, "1");
    const path = pathOf(identity, "/p");
    const now = version(1, rig.clock.now());
    const dependWith = (dependent: string, stored: Map<string, ReturnType<typeof version>>) =>
      rig.observer.depend(dependent, [{ ...subscription(path), stored }]);
    dependWith("ns/same", new Map(["/p/a", "/p/b"].map((name) => [name, now])));
    dependWith("ns/added", new Map([["/p/a", now]]));
    dependWith("ns/changed", new Map([["/p/a", now], ["/p/b", version(2)]])); // biome-ignore format: one line
    dependWith("ns/gone", new Map(["/p/a", "/p/b", "/p/c"].map((name) => [name, now])));
    await rig.observer.look([path], "bulk");
    expect(toldOf().sort()).toEqual(["ns/added", "ns/changed", "ns/gone"]);
    expect([...rig.observer.entry(path)!.members.keys()]).toEqual(["/p/a", "/p/b"]);
  });

  it("starts the grace at the first look, and does not confirm a deletion by itself", async () => {
    const reference = parameterOf(identity, "/a");
    rig.observer.depend("ns/one", [{ ...subscription(reference), stored: version(1) }]);
    await look("/a");
    expect(entryOf("/a").state.missing?.stage).toBe("absent");
    await rig.clock.advance(4 * minute);
    expect(entryOf("/a").state.missing?.stage).toBe("absent");
    await rig.clock.advance(2 * minute);
    expect(entryOf("/a").state.missing?.stage).toBe("gone");
  });

  it("is kept for at most a thousand members of a path", async () => {
    const path = pathOf(identity, "/p");
    rig.aws.put("/p/a", "1");
    for (let n = 0; n < 30; n++) {
      const stored = new Map(Array.from({ length: 100 }, (_, i) => [`/p/${n}-${i}`, version(1)]));
      rig.observer.depend(`ns/s${n}`, [{ ...subscription(path), stored }]);
    }
    await rig.observer.look([path], "bulk");
    expect(rig.observer.entry(path)!.claimed?.size).toBe(1_000);
    for (let n = 0; n < 30; n++) rig.observer.depend(`ns/s${n}`, [subscription(path)]);
    expect(rig.observer.entry(path)!.claimed).toBeUndefined();
    expect(rig.observer.entry(path)!.stored).toBeUndefined();
  });

  it("with names that never existed does not delay the deletion of a real member", async () => {
    for (let n = 0; n < 2_000; n++) rig.aws.put(`/p/${n}`, "1");
    rig.aws.pageSize = 1_000;
    const path = pathOf(identity, "/p");
    const stored = new Map(Array.from({ length: 100 }, (_, i) => [`/p/x-${i}`, version(1)]));
    rig.observer.depend("ns/liar", [{ ...subscription(path), stored }]);
    rig.observer.depend("ns/honest", [subscription(path)]);
    await rig.observer.look([path], "bulk");
    rig.aws.delete("/p/7");
    await rig.clock.advance(20 * minute);
    expect(rig.observer.entry(path)!.members.get("/p/7")?.missing?.stage).toBe("gone");
  });
});
