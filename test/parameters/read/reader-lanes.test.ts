import { beforeEach, describe, expect, it } from "vitest";
import { AwsFailure } from "../../../src/aws/failure.ts";
import type { Identity } from "../../../src/aws/identity.ts";
import { PathReader } from "../../../src/parameters/read/path-reader.ts";
import type { Read } from "../../../src/parameters/read/pending-reads.ts";
import { Reader } from "../../../src/parameters/read/reader.ts";
import type { PathReference } from "../../../src/parameters/read/reference.ts";
import type { Lane } from "../../../src/runtime/lane.ts";
import { FakeAws } from "../../support/fake-aws.ts";
import { heldOf } from "../../support/garbage.ts";
import { claim, type LimitersRig, limitersRig } from "../../support/limiters.ts";
import { throttled } from "../../support/service.ts";

let rig: LimitersRig;
let aws: FakeAws;
let identity: Identity;
let reader: Reader;

/** A limit of twenty calls a second, and a latency of ten milliseconds. */
beforeEach(() => {
  rig = limitersRig(20);
  rig.quotas.set("c", claim("identity"));
  aws = new FakeAws(() => rig.clock.now());
  aws.fault = () => new Promise((resolve) => rig.clock.setTimer(resolve, 10));
  identity = aws.identity();
  reader = new Reader(rig.limiters);
});

const names = (count: number, prefix = "/p") => Array.from({ length: count }, (_, i) => `${prefix}${i}`);

/** Makes AWS deny every call with a name, at the usual latency. @returns the fault before */
function denyName(name: string): NonNullable<FakeAws["fault"]> {
  const late = aws.fault!;
  aws.fault = async (call) => {
    await late(call);
    if (call.names.includes(name)) throw denied();
  };
  return late;
}

/** Reads names and collects the answers. */
function ask(asked: readonly string[], lane: Lane, namespace = "ns"): { answers: Map<string, Read> } {
  const answers = new Map<string, Read>();
  for (const name of asked) {
    void reader.read(identity, name, { decrypt: true, lane, namespace }).then((read) => answers.set(name, read));
  }
  return { answers };
}

/** Puts parameters and reads them all in the bulk lane. */
function backlog(count: number): string[] {
  const all = names(count);
  for (const name of all) aws.put(name, "v");
  ask(all, "bulk");
  return all;
}

describe("an interactive read", () => {
  it("overtakes 5,000 names that wait in bulk", async () => {
    backlog(5_000);
    await rig.clock.advance(2_000);
    const { answers } = ask(["/p4999"], "interactive");
    await rig.clock.advance(150);
    expect(answers.get("/p4999")?.state).toBe("found");
  });

  it("overtakes 5,000 reads of another namespace in its lane", async () => {
    const all = names(5_000);
    for (const name of [...all, "/mine"]) aws.put(name, "v");
    ask(all, "interactive", "many");
    await rig.clock.advance(2_000);
    const { answers } = ask(["/mine", "/p4999"], "interactive", "one");
    await rig.clock.advance(150);
    expect([...answers.keys()].sort()).toEqual(["/mine", "/p4999"]);
  });

  it("speeds up a pending bulk read of a poison name", async () => {
    for (const name of names(10)) aws.put(name, "v");
    denyName("/p3");
    ask(names(10), "bulk");
    await rig.clock.advance(5_000);
    const all = names(2_000, "/q");
    for (const name of all) aws.put(name, "v");
    ask(all, "bulk");
    ask(["/p3"], "bulk");
    await rig.clock.advance(1_000);
    aws.calls.length = 0;
    const { answers } = ask(["/p3"], "interactive");
    await rig.clock.advance(150);
    expect(answers.get("/p3")?.state).toBe("failed");
    await rig.clock.advance(60_000);
    expect(aws.calls.filter((call) => call.names.includes("/p3"))).toHaveLength(1);
  });

  it("in a call of a less urgent lane stays urgent when the call is halved", async () => {
    const urgent = names(200, "/q");
    for (const name of [...names(9), ...urgent, ...names(3_000, "/z")]) aws.put(name, "v");
    const late = aws.fault!;
    aws.fault = async (call) => {
      await late(call);
      if (!call.names.includes("/p3")) return;
      // These reads are queued before the halves in the bulk lane.
      ask(names(3_000, "/z"), "bulk");
      aws.fault = async (next) => {
        await late(next);
        if (next.names.includes("/p3")) throw denied();
      };
      throw denied();
    };
    const { answers } = ask(urgent, "interactive");
    ask(names(9), "bulk");
    await rig.clock.advance(3_000);
    const mixed = aws.calls.find((call) => call.names.includes("/p3"))!;
    expect(mixed.names.filter((name) => name.startsWith("/q"))).toHaveLength(1);
    expect(answers.size).toBe(200);
  });
});

describe("a denied name", () => {
  it("is isolated by halving, does not fail the others, and is read alone afterwards", async () => {
    for (const name of names(40)) aws.put(name, "v");
    denyName("/p13");
    const { answers } = ask(names(40), "bulk");
    await rig.clock.advance(3_000);
    expect([...answers].filter(([, { state }]) => state !== "found").map(([name]) => name)).toEqual(["/p13"]);
    aws.calls.length = 0;
    ask(names(40), "bulk");
    await rig.clock.advance(3_000);
    expect(aws.calls.filter((call) => call.names.includes("/p13")).map((call) => call.names)).toEqual([["/p13"]]);
    expect(aws.calls).toHaveLength(5);
  });

  it("is read with others again once AWS reports it missing", async () => {
    for (const name of names(10)) aws.put(name, "v");
    const late = denyName("/p3");
    ask(names(10), "bulk");
    await rig.clock.advance(3_000);
    aws.fault = late;
    aws.delete("/p3");
    ask(["/p3"], "bulk");
    await rig.clock.advance(3_000);
    aws.calls.length = 0;
    ask(names(10), "bulk");
    await rig.clock.advance(3_000);
    expect(aws.calls.map((call) => call.names.length)).toEqual([10]);
  });
});

describe("a throttled call", () => {
  it("is retried with the same names, and every read is answered once", async () => {
    for (const name of names(100)) aws.put(name, "v");
    let left = 7;
    const late = aws.fault!;
    aws.fault = async (call) => {
      await late(call);
      if (left-- > 0) throw throttled();
    };
    const { answers } = ask(names(100), "bulk");
    await rig.clock.advance(30_000);
    expect([...answers.values()].every(({ state }) => state === "found")).toBe(true);
    expect(answers.size).toBe(100);
    expect(aws.calls).toHaveLength(17);
  });

  it("fails its names after six tries, and none becomes a poison name", async () => {
    for (const name of names(10)) aws.put(name, "v");
    const late = aws.fault!;
    aws.fault = async (call) => {
      await late(call);
      throw throttled();
    };
    const { answers } = ask(names(10), "bulk");
    await rig.clock.advance(60_000);
    expect([...answers.values()].map((read) => read.state === "failed" && read.failure.reason)).toEqual(
      Array(10).fill("Throttled"),
    );
    expect(aws.calls).toHaveLength(6);
    aws.fault = late;
    aws.calls.length = 0;
    ask(names(10), "bulk");
    await rig.clock.advance(30_000);
    expect(aws.calls.map((call) => call.names.length)).toEqual([10]);
  });
});

it("hurry raises a pending read, and does nothing for a name without one", async () => {
  const all = backlog(3_000);
  await rig.clock.advance(2_000);
  const before = aws.calls.length;
  reader.hurry(identity, "/never-asked", { decrypt: true, lane: "interactive" });
  reader.hurry(identity, all.at(-1)!, { decrypt: true, lane: "interactive" });
  await rig.clock.advance(150);
  expect(aws.calls[before]!.names).toContain(all.at(-1));
  await rig.clock.advance(30_000);
  expect(aws.calls).toHaveLength(300);
  expect(aws.calls.flatMap((call) => call.names)).toHaveLength(3_000);
});

it("an interactive listing of a path does not wait for the listing of a poll", async () => {
  const reference: PathReference = { kind: "path", identity, path: "/app", recursive: true, label: "", types: [] };
  for (let i = 0; i < 50; i++) aws.put(`/app/p${i}`, "v");
  const paths = new PathReader(rig.limiters);
  backlog(4_000);
  await rig.clock.advance(2_000);
  let isListed = false;
  void paths.list(reference, { decrypt: false, lane: "poll" });
  void paths.list(reference, { decrypt: false, lane: "interactive" }).then(() => {
    isListed = true;
  });
  // A running listing serves later ones that are not more urgent.
  void paths.list(reference, { decrypt: false, lane: "bulk" });
  await rig.clock.advance(500);
  expect(isListed).toBe(true);
  await rig.clock.advance(60_000);
  expect(aws.count("GetParametersByPath")).toBeLessThanOrEqual(10);
});

function denied(): AwsFailure {
  return new AwsFailure({ reason: "AccessDenied", next: "wait", code: "AccessDeniedException", message: "denied" });
}

it("releases values after the answer, though a missing name keeps the identity's mailbox", async () => {
  const all = names(10);
  for (const name of all) aws.put(name, "v");
  const values: WeakRef<object>[] = [];
  const wanted = [...all, "/missing"].flatMap((name) =>
    ["a", "b"].map(async (namespace) => {
      const read = await reader.read(identity, name, { decrypt: true, lane: "bulk", namespace });
      if (read.state === "found") values.push(new WeakRef(read.record.value!));
    }),
  );
  await rig.clock.advance(5_000);
  await Promise.all(wanted);
  aws.parameters.clear();
  expect(values).toHaveLength(20);
  expect(await heldOf(values)).toBe(0);
});

describe("a confirming read", () => {
  const confirm = (name: string) =>
    reader.read(identity, name, { decrypt: false, lane: "event", confirms: true, namespace: "ns" });

  it("succeeds without permission to decrypt, since it never shares a call with decrypting reads", async () => {
    for (const name of names(30)) aws.put(name, "v");
    const late = aws.fault!;
    aws.fault = async (call) => {
      await late(call);
      if (call.decrypt) throw denied();
    };
    ask(names(30), "bulk");
    const confirmed = confirm("/p29");
    await rig.clock.advance(1_000);
    expect(await confirmed).toMatchObject({ state: "found", record: { version: 1 } });
  });

  it("reports an invalid name as missing, while other reads of the name find out why", async () => {
    const confirmed = Promise.all(["/none", "/nowhere"].map(confirm));
    const asked = reader.read(identity, "/none", { decrypt: false, lane: "event", namespace: "ns" });
    await rig.clock.advance(1_000);
    expect(await confirmed).toMatchObject([{ state: "missing" }, { state: "missing" }]);
    expect(await asked).toMatchObject({ state: "missing", reason: "ParameterNotFound" });
    expect(aws.calls.map(({ operation, names }) => [operation, ...names])).toEqual([
      ["GetParameters", "/none", "/nowhere"],
      ["GetParameter", "/none"],
    ]);
  });
});

describe("stop", () => {
  it("fails each pending read and sends no more calls", async () => {
    const reads = names(500).map((name) => reader.read(identity, name, { decrypt: true, lane: "bulk" }));
    await rig.clock.advance(100);
    const sent = aws.calls.length;
    rig.limiters.stop();
    await rig.clock.advance(60_000);
    const answers = await Promise.all(reads);
    expect(answers.filter(({ state }) => state !== "failed")).toEqual([]);
    expect(aws.calls).toHaveLength(sent);
  });
});
