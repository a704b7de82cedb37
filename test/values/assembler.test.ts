import { EventEmitter } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import type { Worker } from "node:worker_threads";
import { afterEach, describe, expect, it } from "vitest";
import { type Assembled, type AssembleInput, assemble } from "../../src/values/assemble.ts";
import { Assembler } from "../../src/values/assembler.ts";
import { FakeClock, settle } from "../support/clock.ts";

const bytes = (text: string) => Buffer.from(text, "utf8");
const value = (text: string) => ({ state: "value", bytes: bytes(text) }) as const;

/** Returns a document with an object of this many members and a list of this many numbers. */
function objectAndList(members: number, items: number): string {
  const o = Object.fromEntries(Array.from({ length: members }, (_, index) => [`k${index}`, index]));
  return JSON.stringify({ o, l: Array.from({ length: items }, (_, index) => index) });
}

const taking = (jmesPath: string, json: string): AssembleInput => ({
  data: [{ key: "K", entry: "data[0] (K)", source: value(json), jmesPath }],
  dataFrom: [],
});

function textsOf(assembled: Assembled): unknown {
  if (!assembled.ok) return assembled;
  return Object.fromEntries([...assembled.data].map(([key, each]) => [key, Buffer.from(each).toString()]));
}

const assemblers: Assembler[] = [];
function make(clock?: FakeClock): Assembler {
  const assembler = new Assembler(clock ? { clock } : {});
  assemblers.push(assembler);
  return assembler;
}
afterEach(() => {
  for (const assembler of assemblers.splice(0)) assembler.stop();
});

describe("an assembly", () => {
  it("runs at once if it is cheap, without starting a worker", async () => {
    const assembler = make();
    const input: AssembleInput = { data: [{ key: "K", entry: "data[0] (K)", source: value("v") }], dataFrom: [] };
    expect(await assembler.assemble(input)).toEqual(assemble(input));
    expect(assembler.isWorking).toBe(false);
  });

  it("goes to the worker after an expensive one of its own namespace, but not of another", async () => {
    const clock = new FakeClock();
    const assembler = make(clock);
    const cheap: AssembleInput = { data: [{ key: "K", entry: "data[0] (K)", source: value("v") }], dataFrom: [] };
    await assembler.assemble(taking("o.k7", objectAndList(10_000, 5_000)), "dear");
    await clock.advance(6_000);
    expect(assembler.isWorking).toBe(false);
    expect(await assembler.assemble(cheap, "other")).toEqual(assemble(cheap));
    expect(assembler.isWorking).toBe(false);
    expect(textsOf(await assembler.assemble(cheap, "dear"))).toEqual({ K: "v" });
    expect(assembler.isWorking).toBe(true);
    await clock.advance(6_000);
    expect(await assembler.assemble(cheap, "dear")).toEqual(assemble(cheap));
    expect(assembler.isWorking).toBe(false);
  });

  it("does not block the event loop if it is expensive, and has the same result in the worker", async () => {
    const assembler = make();
    const input = taking("o.k7", objectAndList(10_000, 5_000));
    const expected = assemble(input);
    const before = process.threadCpuUsage();
    const assembled = await assembler.assemble(input);
    const { user, system } = process.threadCpuUsage(before);
    expect(textsOf(assembled)).toEqual(textsOf(expected));
    expect(assembler.isWorking).toBe(true);
    expect((user + system) / 1_000).toBeLessThan(150);
  });

  it.runIf(process.platform === "linux")("runs on a thread with lower CPU priority", async () => {
    const niceOf = (tid: string) => {
      const stat = readFileSync(`/proc/self/task/${tid}/stat`, "utf8");
      return Number(stat.slice(stat.lastIndexOf(")")).split(" ")[17]);
    };
    const nices = () => readdirSync("/proc/self/task").map(niceOf);
    await make().assemble(taking("o.k7", objectAndList(10_000, 5_000)));
    expect(nices()).toContain(10);
  });

  it("is refused if a filter reads a whole object for each item of a list", async () => {
    const cheap = await make().assemble(taking("l[?$.o] | [0]", objectAndList(10_000, 5_000)));
    expect(textsOf(cheap)).toEqual({ K: "0" });
    const dear = await make().assemble(taking("l[?$.o == merge($.o, `{}`)]", objectAndList(10_000, 5_000)));
    expect(dear).toMatchObject({ ok: false, problems: [{ reason: "InvalidData" }] });
  });

  it("does not change the source values, which are shared", async () => {
    const json = objectAndList(10_000, 5_000);
    const input = taking("o.k7", json);
    await make().assemble(input);
    expect(input.data[0]!.source).toEqual(value(json));
  });

  it("is refused if the worker takes too long, and the next one still runs", async () => {
    const clock = new FakeClock();
    const assembler = make(clock);
    const input = taking("o.k7", objectAndList(10_000, 5_000));
    const [first, second] = [assembler.assemble(input, "a"), assembler.assemble(input, "b")];
    await clock.advance(10_000);
    expect(await first).toMatchObject({ ok: false, problems: [{ message: expect.stringContaining("over 10 s") }] });
    expect(await second).toMatchObject({ ok: true });
  });

  it("waits once its namespace has used up its share of the worker, and is refused if it waits too long", async () => {
    const clock = new FakeClock();
    const replies: ((assembled: Assembled) => void)[] = [];
    const posted: string[] = [];
    const worker = Object.assign(new EventEmitter(), {
      unref: () => {},
      terminate: async () => 0,
      postMessage: (input: AssembleInput) => {
        posted.push(input.data[0]!.entry);
        replies.push((assembled) => void worker.emit("message", assembled));
      },
    });
    const assembler = new Assembler({ clock, start: () => worker as unknown as Worker });
    assemblers.push(assembler);
    const done: Assembled = { ok: true, data: new Map() };
    const dear = (entry: string): AssembleInput => {
      const { data, dataFrom } = taking("o.k7", objectAndList(10_000, 5_000));
      return { data: [{ ...data[0]!, entry }], dataFrom };
    };
    const first = assembler.assemble(dear("first"), "dear");
    // The namespace's burst is two seconds, and this takes three.
    await settle();
    await clock.advance(3_000);
    replies.shift()!(done);
    expect(await first).toEqual(done);
    const second = assembler.assemble(dear("second"), "dear");
    const other = assembler.assemble(dear("other"), "other");
    await settle();
    expect(posted).toEqual(["first", "other"]);
    replies.shift()!(done);
    expect(await other).toEqual(done);
    await clock.advance(9_000);
    expect(posted).not.toContain("second");
    await clock.advance(1_100);
    expect(posted).toEqual(["first", "other", "second"]);
    await clock.advance(9_000);
    replies.shift()!(done);
    expect(await second).toEqual(done);
    const third = await assembler.assemble(dear("third"), "dear");
    expect(third).toMatchObject({
      ok: false,
      problems: [{ message: expect.stringContaining("share of processor time") }],
    });
  });

  it("ends the worker when no work is left", async () => {
    const clock = new FakeClock();
    const assembler = make(clock);
    await assembler.assemble(taking("o.k7", objectAndList(10_000, 5_000)));
    expect(assembler.isWorking).toBe(true);
    await clock.advance(5_000);
    await settle();
    expect(assembler.isWorking).toBe(false);
  });

  it("goes to the worker if it parses YAML that is not short", async () => {
    const assembler = make();
    const yaml = (text: string): AssembleInput => ({
      data: [],
      dataFrom: [{ kind: "document", entry: "dataFrom[0]", source: value(text), format: "YAML" }],
    });
    await assembler.assemble(yaml("A: 1\nB: two\n"));
    expect(assembler.isWorking).toBe(false);
    const assembled = await assembler.assemble(yaml(`A: "${"x".repeat(8_000)}"`));
    expect(assembled).toMatchObject({ ok: true });
    expect(assembler.isWorking).toBe(true);
  });
});
