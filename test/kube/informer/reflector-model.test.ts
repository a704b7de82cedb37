import fc from "fast-check";
import { expect, test } from "vitest";
import { errorOfAnswer } from "../../../src/kube/errors.ts";
import type { ListOptions, ListPage, ListWatch, WatchOptions } from "../../../src/kube/informer/list-watch.ts";
import { Reflector } from "../../../src/kube/informer/reflector.ts";
import type { KubeObject, Resource } from "../../../src/kube/resource.ts";
import { Metrics } from "../../../src/metrics/metrics.ts";
import { silent } from "../../../src/runtime/log.ts";
import { FakeClock, settle } from "../../support/clock.ts";
import { status } from "../../support/scripted-server.ts";
import { widget, widgets } from "../../support/widgets.ts";
import { bookmark } from "./reflector-rig.ts";

interface Stream {
  chunks: Uint8Array[];
  /** Set once: undefined for a clean end, an error for a broken connection. */
  over: { error?: Error } | undefined;
  wake: () => void;
}

/** An in-memory API server with a history, which fails as the test sets. */
class ModelServer implements ListWatch {
  /** The state at each resourceVersion, starting at 1. */
  readonly #states: Map<string, KubeObject>[] = [new Map(), new Map()];
  readonly #events: { version: number; line: string }[] = [];
  readonly #streams = new Set<Stream>();
  #oldest = 1;
  #uids = 0;
  /** The error statuses of the next requests. */
  readonly failures: number[] = [];
  /** How many versions a list's answer may lag behind the newest state. */
  lag = 0;

  get version(): number {
    return this.#states.length - 1;
  }

  get state(): Map<string, KubeObject> {
    return this.#states[this.version]!;
  }

  put(name: string, options: { recreate: boolean }): void {
    const known = this.state.get(name);
    if (known && options.recreate) this.remove(name);
    const old = options.recreate ? undefined : known;
    const uid = old?.metadata.uid ?? `uid-${this.#uids++}`;
    const object = widget(name, { uid, resourceVersion: String(this.version + 1) });
    this.#commit(old ? "MODIFIED" : "ADDED", object);
  }

  remove(name: string): void {
    const known = this.state.get(name);
    if (known) this.#commit("DELETED", widget(name, { ...known.metadata, resourceVersion: String(this.version + 1) }));
  }

  bookmark(): void {
    for (const stream of this.#streams) this.#write(stream, `${JSON.stringify(bookmark(String(this.version)))}\n`);
  }

  /** Compacts the history: watches from earlier versions and earlier continue tokens get a 410. */
  compact(): void {
    this.#oldest = this.version;
  }

  /** Ends all streams: cleanly, with a broken connection, or after an ERROR event. */
  cut(how: "end" | "break" | number): void {
    for (const stream of this.#streams) {
      if (typeof how === "number") {
        this.#write(stream, `${JSON.stringify({ type: "ERROR", object: status(how, "") })}\n`);
      }
      stream.over = how === "break" ? { error: new Error("reset") } : {};
      stream.wake();
    }
    this.#streams.clear();
  }

  async list<T extends KubeObject>(_: Resource, options: ListOptions): Promise<ListPage<T>> {
    this.#failSometimes();
    const least = options.resourceVersion === "0" ? 1 : Number(options.resourceVersion || this.version);
    let version = Math.max(least, this.version - this.lag);
    let offset = 0;
    if (options.continue) {
      [version, offset] = options.continue.split(":").map(Number) as [number, number];
      if (version < this.#oldest) throw errorOfAnswer("LIST", 410, undefined, undefined);
    }
    const all = [...this.#states[version]!.values()];
    const end = options.limit ? offset + 2 : all.length;
    const items = all.slice(offset, end).map((one) => structuredClone(one) as T);
    const more = end < all.length ? { continue: `${version}:${end}` } : {};
    return { items, resourceVersion: String(version), ...more };
  }

  async watch(_: Resource, options: WatchOptions): Promise<AsyncIterable<Uint8Array>> {
    this.#failSometimes();
    const stream: Stream = { chunks: [], over: undefined, wake() {} };
    const from = Number(options.resourceVersion);
    if (from < this.#oldest) throw errorOfAnswer("LIST", 410, undefined, undefined);
    for (const { version, line } of this.#events) if (version > from) this.#write(stream, line);
    this.#streams.add(stream);
    options.signal.addEventListener("abort", () => this.#streams.delete(stream));
    return this.#read(stream, options.signal);
  }

  async *#read(stream: Stream, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    while (!signal.aborted) {
      const chunk = stream.chunks.shift();
      if (chunk) yield chunk;
      else if (stream.over?.error) throw stream.over.error;
      else if (stream.over) return;
      else {
        await new Promise<void>((resolve) => {
          stream.wake = resolve;
          signal.addEventListener("abort", () => resolve(), { once: true });
        });
      }
    }
  }

  #write(stream: Stream, line: string): void {
    const bytes = Buffer.from(line);
    stream.chunks.push(bytes.subarray(0, 17), bytes.subarray(17));
    stream.wake();
  }

  #commit(type: string, object: KubeObject): void {
    const state = new Map(this.state);
    if (type === "DELETED") state.delete(object.metadata.name!);
    else state.set(object.metadata.name!, object);
    this.#states.push(state);
    const line = `${JSON.stringify({ type, object })}\n`;
    this.#events.push({ version: this.version, line });
    for (const stream of this.#streams) this.#write(stream, line);
  }

  #failSometimes(): void {
    const code = this.failures.shift();
    if (code) throw errorOfAnswer("LIST", code, undefined, undefined);
  }
}

const name = fc.constantFrom("a", "b", "c", "d", "e");
const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ op: fc.constant("put" as const), name, recreate: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ op: fc.constant("remove" as const), name }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant("bookmark" as const) }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant("compact" as const) }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant("lag" as const), lag: fc.nat(5) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      op: fc.constant("cut" as const),
      how: fc.constantFrom<"end" | "break" | number>("end", "break", 410, 429, 500, 403, 504),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      op: fc.constant("fail" as const),
      code: fc.constantFrom(410, 429, 500, 503, 504, 403, 401),
    }),
  },
  { weight: 3, arbitrary: fc.record({ op: fc.constant("pass" as const), ms: fc.integer({ min: 1, max: 3000 }) }) },
);

test("a reflector converges to the server's state once faults stop, and reports every change", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40, size: "max" }), async (steps) => {
      const clock = new FakeClock();
      const server = new ModelServer();
      const stop = new AbortController();
      const replica = new Map<string, KubeObject>();
      const reflector = new Reflector<KubeObject>({
        source: server,
        resource: widgets,
        clock,
        random: () => 0,
        metrics: new Metrics(),
        log: silent,
        onChange({ key, before, after }) {
          expect(replica.get(key)?.metadata).toEqual(before?.metadata);
          if (before && after) expect(after.metadata.uid).toBe(before.metadata.uid);
          if (after) replica.set(key, after);
          else replica.delete(key);
        },
      });
      const ended = reflector.run(stop.signal);
      let seen = 0;
      for (const one of steps) {
        if (one.op === "put") server.put(one.name, one);
        else if (one.op === "remove") server.remove(one.name);
        else if (one.op === "bookmark") server.bookmark();
        else if (one.op === "compact") server.compact();
        else if (one.op === "lag") server.lag = one.lag;
        else if (one.op === "cut") server.cut(one.how);
        else if (one.op === "fail") server.failures.push(one.code);
        else await clock.advance(one.ms);
        expect(Number(reflector.lastResourceVersion)).toBeGreaterThanOrEqual(seen);
        seen = Number(reflector.lastResourceVersion);
      }
      server.lag = 0;
      for (let tries = 0; tries < 10; tries++) {
        await clock.advance(60_000);
        if (server.failures.length === 0 && Number(reflector.lastResourceVersion) === server.version) break;
      }
      await settle();
      const expected = [...server.state.values()].map(({ metadata }) => metadata);
      const of = (objects: Iterable<KubeObject>) => [...objects].map(({ metadata }) => metadata);
      expect(of(reflector.store.values())).toEqual(expect.arrayContaining(expected));
      expect(reflector.store.size).toBe(expected.length);
      expect(of(replica.values())).toEqual(expect.arrayContaining(expected));
      expect(replica.size).toBe(expected.length);
      stop.abort();
      await ended;
      expect(clock.pending).toBe(0);
    }),
    { numRuns: 150 },
  );
}, 60_000);
