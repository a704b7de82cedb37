import { describe, expect, it } from "vitest";
import type { AuditEvent } from "../../src/runtime/audit.ts";
import { AuditWriter, type AuditWriterOptions, type Sink } from "../../src/runtime/audit-writer.ts";
import { FakeClock, settle } from "../support/clock.ts";

const event = (source: string): AuditEvent => ({
  event: "read",
  kind: "parameter",
  source,
  resources: ["shop/web"],
  region: "eu-west-1",
  caller: undefined,
  requestId: undefined,
});

/** An audit writer over a sink that the test controls, and what it wrote, counted and logged. */
function rig(options: Partial<AuditWriterOptions> = {}) {
  const clock = new FakeClock();
  const counted = { written: 0, lost: 0 };
  const logged: string[] = [];
  const writes: string[] = [];
  const state = {
    answer: async (_lines: readonly string[], _wrote: (lines: number) => void): Promise<void> => {},
    closed: 0,
  };
  const sink: Sink = {
    async write(lines, wrote) {
      let told = 0;
      await state.answer(lines, (more) => {
        writes.push(lines.slice(told, told + more).join(""));
        told += more;
        wrote(more);
      });
      if (told === lines.length) return;
      writes.push(lines.slice(told).join(""));
      wrote(lines.length - told);
    },
    async close() {
      state.closed += 1;
    },
  };
  const record = (level: string) => (fields: object, message: string) =>
    void logged.push(`${level} ${JSON.stringify(fields)} ${message}`);
  const log = { debug: record("debug"), info: record("info"), warn: record("warn"), error: record("error") };
  const count = (result: "written" | "lost", lines: number) => {
    counted[result] += lines;
  };
  const writer = new AuditWriter({ sink, clock, log, count, ...options });
  const sources = () =>
    writes
      .join("")
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => (JSON.parse(line) as { source: string }).source);
  return { writer, clock, counted, logged, writes, state, sources };
}

const full = (code: string) => async () => {
  throw Object.assign(new Error("a path that is nobody's business"), { code });
};

describe("the audit writer", () => {
  it("writes lines in order, and lines of the same turn together", async () => {
    const { writer, sources, writes, counted } = rig();
    for (const source of ["/a", "/b", "/c"]) writer.audit(event(source));
    await settle();
    writer.audit(event("/d"));
    await settle();
    expect(sources()).toEqual(["/a", "/b", "/c", "/d"]);
    expect(writes).toHaveLength(2);
    expect(counted).toEqual({ written: 4, lost: 0 });
  });

  it.each(["ENOSPC", "EPIPE", "EACCES"])(
    "loses and counts lines that cannot be written, and logs it once (%s)",
    async (code) => {
      const { writer, state, counted, logged, sources } = rig();
      state.answer = full(code);
      for (let i = 0; i < 5; i++) {
        writer.audit(event(`/lost-${i}`));
        await settle();
      }
      expect(counted).toEqual({ written: 0, lost: 5 });
      expect(logged).toHaveLength(1);
      expect(logged[0]).toContain(code);
      expect(logged[0]).not.toContain("nobody's business");

      state.answer = async () => {};
      writer.audit(event("/there"));
      await settle();
      expect(sources()).toEqual(["/there"]);
      expect(counted).toEqual({ written: 1, lost: 5 });
      expect(logged).toHaveLength(2);
      state.answer = full(code);
      writer.audit(event("/lost-again"));
      await settle();
      expect(logged).toHaveLength(3);
    },
  );

  it("writes a line that arrives at the end of a write", async () => {
    let isFirst = true;
    const one = rig({
      count: () => {
        if (isFirst) queueMicrotask(() => one.writer.audit(event("/late")));
        isFirst = false;
      },
    });
    one.writer.audit(event("/first"));
    await settle();
    expect(one.sources()).toEqual(["/first", "/late"]);
  });

  it("retries only unwritten lines, once", async () => {
    const { writer, state, counted, logged, sources } = rig();
    let tries = 0;
    state.answer = async (_, wrote) => {
      if (tries++ > 0) return;
      wrote(2);
      await full("EIO")();
    };
    for (const source of ["/a", "/b", "/c", "/d"]) writer.audit(event(source));
    await settle();
    expect(sources()).toEqual(["/a", "/b", "/c", "/d"]);
    expect(counted).toEqual({ written: 4, lost: 0 });
    expect(logged).toEqual([]);
  });

  it("counts lines written before a failure, and loses only the rest", async () => {
    const { writer, state, counted, logged, sources } = rig();
    let left = 3;
    state.answer = async (lines, wrote) => {
      const some = Math.min(left, lines.length);
      left -= some;
      if (some > 0) wrote(some);
      if (some < lines.length) await full("ENOSPC")();
    };
    for (const source of ["/a", "/b", "/c", "/d", "/e"]) writer.audit(event(source));
    await settle();
    expect(sources()).toEqual(["/a", "/b", "/c"]);
    expect(counted).toEqual({ written: 3, lost: 2 });
    expect(logged).toHaveLength(1);
  });

  it("limits waiting lines while the sink hangs, and never blocks the caller", async () => {
    const { writer, state, counted, logged, sources } = rig({ waitingAtMost: 2_000 });
    const { promise, resolve } = Promise.withResolvers<void>();
    state.answer = () => promise;
    writer.audit(event("/first"));
    await settle();
    for (let i = 0; i < 1_000; i++) writer.audit(event(`/p${i}`));
    expect(counted.lost).toBeGreaterThan(900);
    expect(logged).toHaveLength(1);
    resolve();
    await settle(50);
    expect(counted.written + counted.lost).toBe(1_001);
    expect(sources()).toHaveLength(counted.written);
    expect(sources().slice(0, 3)).toEqual(["/first", "/p0", "/p1"]);
  });

  it("closes the sink when all lines are written", async () => {
    const { writer, state, sources, clock } = rig();
    writer.audit(event("/a"));
    const closing = writer.close(2_000);
    await closing;
    expect(sources()).toEqual(["/a"]);
    expect(state.closed).toBe(1);
    expect(clock.now()).toBe(new FakeClock().now());
  });

  it("gives up at a stop after its timeout if the sink hangs", async () => {
    const { writer, state, clock, counted, logged } = rig();
    state.answer = (_, wrote) => {
      wrote(1);
      return new Promise(() => {});
    };
    for (const source of ["/written", "/a"]) writer.audit(event(source));
    await settle();
    for (const source of ["/b", "/c"]) writer.audit(event(source));
    let isClosed = false;
    const closing = writer.close(2_000).then(() => {
      isClosed = true;
    });
    await clock.advance(1_900);
    expect(isClosed).toBe(false);
    await clock.advance(200);
    await closing;
    expect(isClosed).toBe(true);
    expect(counted).toEqual({ written: 1, lost: 3 });
    expect(logged).toHaveLength(1);
  });
});
