import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { AnyConnection } from "../../../src/api/any-connection.ts";
import type { Identity } from "../../../src/aws/identity.ts";
import { EventHub, lateMs, settleWithinMs } from "../../../src/controllers/events/hub.ts";
import { Metrics } from "../../../src/metrics/metrics.ts";
import type { Reference } from "../../../src/parameters/read/reference.ts";
import { sleep } from "../../../src/runtime/clock.ts";
import { Failure } from "../../../src/runtime/failure.ts";
import { silent } from "../../../src/runtime/log.ts";
import { seriesOf } from "../../aws/aws-server.ts";
import { FakeClock } from "../../support/clock.ts";
import { changeOf, FakeQueue } from "../../support/fake-queue.ts";
import { until } from "../../support/scripted-server.ts";

const account = "123456789012";
const url = `https://sqs.eu-west-1.amazonaws.com/${account}/keyferry`;
const otherUrl = `${url}-2`;

let clock: FakeClock;
let queue: FakeQueue;
let metrics: Metrics;
let hub: EventHub;
/** The observer's looks, as `identity account name`. */
let looks: string[];
let replanned: string[];
let changed: string[];
/** The dependants of a name that a look finds changed. */
let finds: Map<string, string[]>;
/** The dependants of a name that a look finds unchanged. */
let concerned: Map<string, string[]>;
let isHeard: boolean;
let settled: (keys: readonly string[]) => Promise<boolean>;
let look: () => Promise<void>;

beforeEach(() => {
  clock = new FakeClock();
  queue = new FakeQueue(clock);
  metrics = new Metrics();
  [looks, replanned, changed] = [[], [], []];
  [finds, concerned, isHeard] = [new Map(), new Map(), true];
  settled = async () => true;
  look = async () => {};
  hub = new EventHub({
    observer: {
      announced: async (identity, of, name) => {
        looks.push(`${identity.key} ${of} ${name}`);
        await look();
        return { dependants: finds.get(name) ?? concerned.get(name) ?? [], changed: finds.has(name), isHeard };
      },
      replan: (key) => void replanned.push(key),
    },
    keys: {
      announced: async (identityKeys, arn) => {
        looks.push(`${[...identityKeys].join("+")} ${arn}`);
        await look();
        return { dependants: finds.get(arn) ?? [], isHeard };
      },
    },
    syncedSecrets: { settled: (keys) => settled(keys) },
    clusterName: "mine",
    ...{ clock, metrics, random: () => 0, log: silent },
    changed: (key) => void changed.push(key),
  });
});

afterEach(async () => {
  await hub.stop();
  expect(clock.pending).toBe(0);
  expect(queue.waiting).toBe(0);
});

function connection(queueUrl: string | undefined, sqs?: string): AnyConnection {
  return {
    kind: "ClusterAWSConnection",
    metadata: { name: "x", generation: 1 },
    spec: {
      region: "eu-west-1",
      ...(queueUrl === undefined ? {} : { events: { queueUrl } }),
      ...(sqs === undefined ? {} : { endpoints: { sqs } }),
    },
  } as AnyConnection;
}

/** Adds a connection with one identity, which receives and reads. */
const reads = (identity: Identity, of = account) => {
  return { receiver: identity, receiverAccount: of, account: of, readers: [identity] };
};
const join = (key: string, identity: Identity = queue.identity("one"), queueUrl = url, of = account) =>
  hub.resolved(key, connection(queueUrl), reads(identity, of));
/** Adds a connection without a queue. */
const joinWithout = (key: string) => hub.resolved(key, connection(undefined), reads(queue.identity("one")));
const reference = (name: string, identity = queue.identity("one")): Reference => {
  return { kind: "parameter", identity, name, selector: "" };
};
const isAnnounced = (name = "/a", identity?: Identity) => hub.isAnnounced(reference(name, identity));
const receiving = (count = 3) => until(() => queue.waiting === count, `${count} receives`);
const emptied = () => until(() => queue.size === 0, "an empty queue");
const missedTotal = () => seriesOf(metrics, "keyferry_events_missed_total", {});

/** Lets consumers start their next receive, which a timer of their own triggers. */
async function pass(ms: number, steps = 1): Promise<void> {
  for (let step = 0; step < steps; step++) {
    await clock.advance(ms / steps);
    for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

/** An identity without permission for the queue. */
function denied(key: string): Identity {
  const refuse = async () => {
    throw new Failure("AccessDenied", "wait", "denied");
  };
  return { ...queue.identity(key), sqs: { tags: refuse, receive: refuse, remove: refuse, hide: refuse } };
}

/** Adds a connection with a proved queue. */
async function proved(key = "c"): Promise<void> {
  join(key);
  hub.begin();
  await receiving();
  finds.set("/a", ["shop/checkout"]);
  queue.send(changeOf("/a"));
  await emptied();
  expect(isAnnounced()).toBe(true);
  finds.clear();
}

describe("before it begins", () => {
  test("nothing is received or reported", async () => {
    join("c");
    queue.send(changeOf("/a"));
    await pass(60_000, 5);
    expect(queue.calls).toEqual([]);
    expect(hub.condition("c")).toBeUndefined();
    hub.begin();
    await emptied();
    expect(looks).toEqual([`one ${account} /a`]);
  });
});

describe("a notice", () => {
  test("of a key reaches the identities that read, but not the one that receives for them", async () => {
    const [receiver, ...readers] = ["one", "two", "three"].map((key) => queue.identity(key));
    hub.resolved("c", connection(url), { receiver: receiver!, receiverAccount: account, account, readers });
    hub.joined("c", queue.identity("four"));
    hub.begin();
    await receiving();
    const key = `arn:aws:kms:eu-west-1:${account}:key/1234abcd-12ab-34cd-56ef-1234567890ab`;
    const call = { eventSource: "kms.amazonaws.com", eventName: "DisableKey", requestParameters: { keyId: key } };
    queue.send(
      changeOf("", { source: "aws.kms", "detail-type": "AWS API Call via CloudTrail", resources: [], detail: call }),
    );
    await emptied();
    expect(looks).toEqual([`two+three+four ${key}`]);
  });

  test("reaches each identity of the queue's connections in its account and region once, whoever received it", async () => {
    join("a");
    join("b");
    join("c", queue.identity("two"));
    const other = new FakeQueue(clock);
    join("e", other.identity("four"), otherUrl);
    join("d", queue.identity("three"), url, "999999999999");
    hub.begin();
    await receiving(9);
    queue.send(changeOf("/x"));
    await emptied();
    expect(looks.sort()).toEqual([`one ${account} /x`, `two ${account} /x`]);
    queue.send(changeOf("/y", { account: "999999999999" }), changeOf("/z", { region: "eu-west-2" }));
    await emptied();
    expect(looks.slice(2)).toEqual(["three 999999999999 /y"]);
    await hub.stop();
    expect(other.waiting).toBe(0);
  });

  test("is deleted only after its dependants are written", async () => {
    let write: (value: boolean) => void = () => {};
    const asked: string[] = [];
    settled = (keys) => {
      asked.push(...keys);
      return new Promise((resolve) => {
        write = resolve;
      });
    };
    finds.set("/a", ["shop/b", "shop/a", "shop/b"]);
    join("c");
    hub.begin();
    await receiving();
    queue.send(changeOf("/a"));
    await until(() => asked.length > 0, "the dependants");
    expect(asked).toEqual(["shop/b", "shop/a"]);
    await pass(1_000);
    expect(queue.size).toBe(1);
    write(true);
    await emptied();
  });

  test("waits for its dependants even if its look finds no change: an earlier notice's look may have", async () => {
    let write: (value: boolean) => void = () => {};
    settled = (keys) =>
      new Promise((resolve) => {
        if (keys.includes("shop/a")) write = resolve;
        else resolve(true);
      });
    concerned.set("/a", ["shop/a"]);
    join("c");
    hub.begin();
    await receiving();
    queue.send(changeOf("/a"));
    await until(() => looks.length === 1, "the look");
    await pass(1_000);
    expect(queue.size).toBe(1);
    write(true);
    await emptied();
  });

  test("starts its dependants' time limit when the look has ended", async () => {
    let end: () => void = () => {};
    look = () =>
      new Promise((resolve) => {
        end = resolve;
      });
    finds.set("/a", ["shop/a"]);
    settled = async () => {
      await sleep(clock, settleWithinMs - 1_000);
      return true;
    };
    join("c");
    hub.begin();
    await receiving();
    queue.send(changeOf("/a"));
    await until(() => looks.length === 1, "the look");
    await pass(30_000, 3);
    end();
    await pass(settleWithinMs, 2);
    await emptied();
    expect(looks).toHaveLength(1);
  });

  test.each<[string, { settled?: typeof settled; look?: typeof look; isHeard?: boolean }]>([
    ["a dependant has to be retried", { settled: async () => false }],
    ["its dependants take too long", { settled: () => new Promise(() => {}) }],
    ["the look was not answered", { isHeard: false }],
    ["the look fails by a defect", { look: async () => Promise.reject(new TypeError("x")) }],
  ])("is redelivered if %s", async (_, spoilt) => {
    const well = { settled, look, isHeard };
    ({ settled, look, isHeard } = { ...well, ...spoilt });
    finds.set("/a", ["shop/a"]);
    join("c");
    hub.begin();
    await receiving();
    queue.send(changeOf("/a"));
    await until(() => looks.length === 1, "the look");
    await pass(settleWithinMs + 1);
    expect(queue.size).toBe(1);
    await receiving();
    ({ settled, look, isHeard } = well);
    await pass(60_000, 6);
    await emptied();
    expect(looks).toHaveLength(2);
  });

  test("of a place without a connection is deleted, and proves nothing", async () => {
    await proved();
    const other = new FakeQueue(clock);
    join("o", other.identity("four"), otherUrl);
    await until(() => other.waiting === 3, "the other's receives");
    await pass(lateMs + 1, 3);
    looks.length = 0;
    other.send(changeOf("/a", { account: "999999999999" }), changeOf("/a"));
    await until(() => other.size === 0, "the other empty");
    expect(looks).toEqual([`four ${account} /a`]);
    hub.missed(reference("/a"));
    await pass(lateMs, 6);
    expect(await missedTotal()).toBe(1);
  });

  test("about an unused parameter is deleted, and proves nothing", async () => {
    join("c");
    hub.begin();
    await receiving();
    queue.send(changeOf("/nobody"), "nonsense");
    await emptied();
    expect(isAnnounced()).toBe(false);
  });
});

describe("polls are stretched", () => {
  test("after an event has led to a change, for its account and region", async () => {
    await proved();
    expect(isAnnounced("/whatever")).toBe(true);
    expect(isAnnounced("/aws/service/x")).toBe(false);
    expect(isAnnounced(`arn:aws:ssm:eu-west-1:999999999999:parameter/x`)).toBe(false);
    expect(isAnnounced("/a", queue.identity("stranger"))).toBe(false);
    join("far", queue.identity("far", "eu-west-1"), url, "999999999999");
    expect(isAnnounced("/a", queue.identity("far"))).toBe(false);
  });

  test("also for an identity that some connections use without a queue", async () => {
    await proved();
    joinWithout("none");
    expect(isAnnounced()).toBe(true);
    hub.removed("c");
    expect(isAnnounced()).toBe(false);
    expect(replanned).toEqual(["one"]);
  });

  test("no longer when the connection names another queue, or none", async () => {
    await proved();
    join("c", queue.identity("one"), otherUrl);
    expect(isAnnounced()).toBe(false);
    expect(replanned).toEqual(["one"]);
    join("c");
    expect(isAnnounced()).toBe(false);
  });

  test("no longer when a connection returns after its removal, even if the queue served others", async () => {
    await proved();
    join("far", queue.identity("far"), url, "999999999999");
    hub.removed("c");
    join("c");
    await receiving(6);
    expect(isAnnounced()).toBe(false);
  });

  test("no longer for any connection when the one with the working receiver leaves", async () => {
    await proved();
    join("b", denied("two"));
    await until(() => hub.condition("b")?.status === "False", "the denial");
    changed.length = 0;
    hub.removed("c");
    await until(() => queue.waiting === 0, "the end of its receives");
    join("d");
    await receiving();
    expect(changed).toContain("b");
    expect(replanned).toContain("two");
    expect([isAnnounced(), isAnnounced("/a", queue.identity("two"))]).toEqual([false, false]);
    expect([hub.isProved("b"), hub.isProved("d")]).toEqual([false, false]);
  });

  test("for new credentials only after an event has led to a change with them", async () => {
    await proved();
    const renewed = queue.identity("renewed");
    join("c", renewed);
    await until(() => queue.count("ListQueueTags") === 2, "the renewed one's look at the tags");
    await receiving();
    expect(isAnnounced("/a", renewed)).toBe(false);
    finds.set("/a", ["shop/checkout"]);
    queue.send(changeOf("/a"));
    await emptied();
    expect(isAnnounced("/a", renewed)).toBe(true);
    expect(hub.isProved("c")).toBe(true);
  });

  test("not if a look found no change", async () => {
    join("c");
    hub.begin();
    await receiving();
    concerned.set("/a", ["shop/checkout"]);
    queue.send(changeOf("/a"));
    await emptied();
    expect(looks).toHaveLength(1);
    expect(isAnnounced()).toBe(false);
  });

  test("no longer while the queue is not received from, and must be proved again afterwards", async () => {
    await proved();
    queue.fault = () => {
      throw new Failure("QueueNotFound", "wait", "gone");
    };
    await pass(21_000, 3);
    expect(isAnnounced()).toBe(false);
    expect(replanned).toEqual(["one"]);
    queue.fault = undefined;
    await pass(61_000, 10);
    await receiving();
    expect(hub.condition("c")).toMatchObject({ status: "True" });
    expect(isAnnounced()).toBe(false);
    finds.set("/a", ["shop/checkout"]);
    queue.send(changeOf("/a"));
    await emptied();
    expect(isAnnounced()).toBe(true);
    expect(await missedTotal()).toBe(0);
  });

  test("only for the identity that receives from the queue", async () => {
    await proved();
    join("b", queue.identity("two"));
    await receiving(6);
    expect(isAnnounced("/a", queue.identity("two"))).toBe(true);
    hub.removed("b");
    await receiving();
    replanned.length = 0;
    join("b", denied("two"));
    await until(() => hub.condition("b")?.status === "False", "the denial");
    expect(hub.condition("c")).toMatchObject({ status: "True" });
    expect([isAnnounced(), hub.isProved("c")]).toEqual([true, true]);
    expect([isAnnounced("/a", queue.identity("two")), hub.isProved("b")]).toEqual([false, false]);
    expect(replanned).toEqual(["two"]);
  });
});

describe("a change found by a poll", () => {
  test("is missed if no event arrives within a minute, and revokes the queue's proof", async () => {
    await proved();
    await pass(lateMs + 1, 3);
    hub.missed(reference("/b"));
    hub.missed(reference("/b"));
    await pass(lateMs - 1_000, 5);
    expect(isAnnounced()).toBe(true);
    await pass(1_000);
    expect(await missedTotal()).toBe(1);
    expect(isAnnounced()).toBe(false);
    expect(replanned).toEqual(["one"]);
  });

  test.each([["a name"], ["a path above it"]])("is not missed if its event is only late, about %s", async (what) => {
    const path = { kind: "path", path: "/x", recursive: true, label: "", types: [] } as const;
    const found = what === "a name" ? reference("/x/b") : { ...path, identity: queue.identity("one") };
    await proved();
    await pass(lateMs + 1, 3);
    hub.missed(found);
    await pass(50_000, 5);
    queue.send(changeOf("/x/b"));
    await emptied();
    await pass(30_000, 3);
    expect(await missedTotal()).toBe(0);
    expect(isAnnounced()).toBe(true);
  });

  test("is not missed if its event came just before", async () => {
    await proved();
    await pass(lateMs / 2);
    hub.missed(reference("/a"));
    await pass(2 * lateMs, 6);
    expect(await missedTotal()).toBe(0);
    expect(isAnnounced()).toBe(true);
  });

  test("is missed if the event was about another name", async () => {
    await proved();
    await pass(lateMs + 1, 3);
    hub.missed(reference("/b"));
    queue.send(changeOf("/c"));
    await pass(lateMs, 6);
    expect(await missedTotal()).toBe(1);
  });
});

describe("the condition", () => {
  test("is absent without a queue, and unknown until the queue has answered", async () => {
    joinWithout("none");
    expect(hub.condition("none")).toBeUndefined();
    join("c");
    hub.begin();
    expect(hub.condition("c")).toBeUndefined();
    await receiving();
    expect(hub.condition("c")).toEqual({
      type: "EventsReady",
      status: "True",
      reason: "Receiving",
      message: `changes of parameters are received from ${url}`,
    });
    expect(changed).toEqual(["c"]);
  });

  test("reports the queue's problem on each of its connections", async () => {
    queue.tagged.set("keyferry.io/cluster", "theirs");
    join("a");
    join("b");
    joinWithout("c");
    hub.begin();
    await until(() => changed.length > 0, "a word");
    expect(changed).toEqual(["a", "b"]);
    expect(hub.condition("a")).toMatchObject({
      status: "False",
      reason: "NotAllowed",
      message: expect.stringMatching(/is the queue of cluster "theirs".*; parameters are polled meanwhile$/),
    });
  });

  test("reports unreadable tags for another account's queue, and still receives from it", async () => {
    queue.fault = (operation) => {
      if (operation === "ListQueueTags") throw new Failure("AccessDenied", "wait", "never allowed");
    };
    join("c", queue.identity("one"), url, "999999999999");
    hub.begin();
    await receiving();
    expect(hub.condition("c")).toMatchObject({
      status: "True",
      message: expect.stringContaining("of another account, whose tags cannot be read"),
    });
  });

  test("reports an invalid URL at once, without an AWS call", async () => {
    join("c", queue.identity("one"), url.replace("eu-west-1", "eu-west-2"));
    hub.begin();
    expect(hub.condition("c")).toMatchObject({
      status: "False",
      reason: "InvalidData",
      message: expect.stringContaining("spec.events.queueUrl is no queue of the connection's region eu-west-1"),
    });
    await pass(60_000, 3);
    expect(queue.calls).toEqual([]);
    expect(metrics.silences.size).toBe(0);
  });

  test("accepts the URLs of the connection's own endpoint", () => {
    const endpoint = "http://127.0.0.1:4566";
    hub.resolved("c", connection(`${endpoint}/${account}/q`, endpoint), reads(queue.identity("one")));
    expect(hub.condition("c")).toBeUndefined();
  });

  test("accepts the URLs of an endpoint with {region}", () => {
    const at = (region: string) => `https://vpce-1.sqs.${region}.vpce.amazonaws.com`;
    const spelt = connection(`${at("eu-west-1")}/${account}/q`, at("{region}"));
    hub.resolved("c", spelt, reads(queue.identity("one")));
    expect(hub.condition("c")).toBeUndefined();
  });
});

describe("receivers", () => {
  test("belong to one queue if two connections spell its URL differently", async () => {
    join("a");
    join("b", queue.identity("one"), url.replace("https://sqs.eu-west-1", "https://eu-west-1.queue"));
    hub.begin();
    await receiving();
    await pass(1_000);
    expect(queue.waiting).toBe(3);
    expect([hub.condition("a")?.status, hub.condition("b")?.status]).toEqual(["True", "True"]);
  });

  test("exist once per queue and identity, and end with their last connection", async () => {
    join("a");
    hub.begin();
    join("b");
    await receiving();
    hub.removed("a");
    await pass(1_000);
    expect(queue.waiting).toBe(3);
    hub.removed("b");
    await receiving(0);
    expect(metrics.silences.size).toBe(0);
    join("b");
    await receiving();
  });

  test("change with the connection's identity", async () => {
    join("a");
    hub.begin();
    await receiving();
    join("a", queue.identity("renewed"));
    await until(() => queue.count("ListQueueTags") === 2, "the renewed one's look at the tags");
    await receiving();
  });

  test("stay unchanged when a connection resolves to the same identity", async () => {
    await proved();
    join("c");
    expect(queue.count("ListQueueTags")).toBe(1);
    expect(isAnnounced()).toBe(true);
    expect(replanned).toEqual([]);
  });
});

test("measures silence from a queue's last message, or from the start of receiving", async () => {
  const silence = () => seriesOf(metrics, "keyferry_events_silent_seconds", { queue: url });
  join("c");
  hub.begin();
  await receiving();
  await pass(10_000);
  expect(await silence()).toBe(10);
  queue.send("nonsense");
  await emptied();
  expect(await silence()).toBe(0);
  await pass(7_000);
  expect(await silence()).toBe(7);
});
