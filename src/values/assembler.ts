import { isMainThread, Worker } from "node:worker_threads";
import { type Clock, systemClock, type Timer } from "../runtime/clock.ts";
import { FairQueue, type Waiting } from "../runtime/fair-queue.ts";
import { KeyedTokenBuckets } from "../runtime/token-bucket.ts";
import { TtlMap } from "../runtime/ttl-map.ts";
import { type Assembled, type AssembleInput, assemble, type SourceValue } from "./assemble.ts";
import { Exhausted, inlineUnits, Work } from "./work.ts";

/** Timeout of one assembly in the worker in milliseconds, including the worker's start. */
const deadlineMs = 10_000;
/** Maximum milliseconds that an assembly waits for its namespace's share: it holds values meanwhile. */
const waitAtMostMs = 30_000;
/** Idle milliseconds after which the worker is terminated, so that it uses no memory and holds no value. */
const idleMs = 5_000;
/** Milliseconds for which all Secrets of a namespace use the worker after an expensive one. */
const expensiveMs = 10_000;
/** Maximum number of such namespaces to track. */
const expensiveAtMost = 1_000;
/**
 * A namespace's share of the worker, in milliseconds: expensive values that are made once wait for nothing, and those that
 * are made again and again use a tenth of a processor. On few cores, others would wait for it.
 */
const workerShare = { size: 2_000, perSecond: 100, maxKeys: 1_000 };
/** Heap limit of the worker in MiB. */
const heapMebibytes = 96;

interface Task extends Waiting {
  input: AssembleInput;
  /** Monotonic milliseconds until which it waits. */
  until: number;
  resolve: (assembled: Assembled) => void;
  reject: (error: Error) => void;
}

/** The worker thread exited with an internal error. */
export class WorkerFailed extends Error {
  constructor() {
    super("the worker thread failed");
    this.name = "WorkerFailed";
  }
}

/** Options of an Assembler. */
export interface AssemblerOptions {
  clock?: Clock;
  /** Creates the worker thread; default: this program's. */
  start?: () => Worker;
}

/**
 * Builds Secrets' data without blocking the event loop: inline if that is cheap, otherwise in a worker thread with a
 * timeout and a memory limit. The worker starts on demand and stops when idle. Namespaces alternate, and each has a
 * share of its time.
 */
export class Assembler {
  readonly #clock: Clock;
  readonly #start: () => Worker;
  readonly #queue = new FairQueue<Task>();
  /** Namespaces with an assembly that was too expensive for the event loop. */
  readonly #expensive: TtlMap<string, true>;
  readonly #shares: KeyedTokenBuckets;
  /** Assemblies that wait for their namespace's share, and the timer of the first. */
  readonly #resting = new Map<string, { tasks: Task[]; timer: Timer }>();
  #beganAt = 0;
  #worker: Worker | undefined;
  #current: Task | undefined;
  #timer: Timer | undefined;

  constructor({ clock = systemClock, start = startWorker }: AssemblerOptions = {}) {
    this.#clock = clock;
    this.#start = start;
    this.#expensive = new TtlMap({ clock, ttlMs: expensiveMs, maxSize: expensiveAtMost });
    this.#shares = new KeyedTokenBuckets(clock, workerShare);
  }

  /**
   * Runs `assemble`; rejects with WorkerFailed if the worker fails.
   *
   * @param namespace whose share of the worker it uses
   */
  async assemble(input: AssembleInput, namespace = ""): Promise<Assembled> {
    if (!this.#expensive.has(namespace)) {
      try {
        return assemble(input, new Work(inlineUnits));
      } catch (error) {
        if (!(error instanceof Exhausted)) throw error;
      }
      this.#expensive.set(namespace, true);
    }
    return new Promise((resolve, reject) => {
      const until = this.#clock.monotonic() + waitAtMostMs;
      this.#queue.push({ input, resolve, reject, until, flow: namespace, priority: 0, withdrawn: false });
      this.#next();
    });
  }

  /** Whether the worker thread is running. */
  get isWorking(): boolean {
    return this.#worker !== undefined;
  }

  /** Terminates the worker; rejects the waiting assemblies. */
  stop(): void {
    this.#end();
    const resting = [...this.#resting.values()];
    this.#resting.clear();
    for (const { timer } of resting) timer.cancel();
    const left = resting.flatMap(({ tasks }) => tasks);
    for (let task = this.#current ?? this.#queue.take(); task; task = this.#queue.take()) left.push(task);
    for (const { resolve } of left) resolve(refused("it was not done before the program ended"));
    this.#current = undefined;
  }

  #next(): void {
    if (this.#current) return;
    this.#timer?.cancel();
    this.#current = this.#take();
    if (!this.#current) {
      if (this.#worker) this.#timer = this.#clock.setTimer(() => this.#end(), idleMs);
      return;
    }
    this.#worker ??= this.#begin();
    this.#beganAt = this.#clock.monotonic();
    const { copy, buffers } = copied(this.#current.input);
    this.#worker.postMessage(copy, buffers);
    this.#timer = this.#clock.setTimer(() => {
      this.#end();
      this.#done(
        refused(`it takes over ${deadlineMs / 1_000} s to make; make its templates, paths or documents do less`),
      );
    }, deadlineMs);
  }

  /** Returns the next assembly whose namespace has worker time left; others wait. */
  #take(): Task | undefined {
    for (let task = this.#queue.take(); task; task = this.#queue.take()) {
      const waitMs = this.#shares.waitMs(task.flow);
      if (waitMs === 0) return task;
      if (this.#clock.monotonic() + waitMs > task.until) {
        task.resolve(refused("its namespace has used up its share of processor time; make its Secrets' data cheaper"));
        continue;
      }
      const resting = this.#resting.get(task.flow);
      if (resting) resting.tasks.push(task);
      else {
        const { flow } = task;
        this.#resting.set(flow, { tasks: [task], timer: this.#clock.setTimer(() => this.#resume(flow), waitMs) });
      }
    }
    return undefined;
  }

  #resume(namespace: string): void {
    const { tasks } = this.#resting.get(namespace)!;
    this.#resting.delete(namespace);
    for (const task of tasks) this.#queue.push(task);
    this.#next();
  }

  #begin(): Worker {
    const worker = this.#start();
    worker.unref();
    worker.on("message", (assembled: Assembled) => {
      if (this.#worker === worker) this.#done(assembled);
    });
    worker.on("error", (error: Error & { code?: string }) => {
      if (this.#worker !== worker) return;
      this.#worker = undefined;
      if (error.code === "ERR_WORKER_OUT_OF_MEMORY") {
        this.#done(refused("it takes too much memory to make; make its templates, paths or documents smaller"));
      }
      // An internal error. Its message is dropped, because it may quote a value.
      else this.#done(new WorkerFailed());
    });
    return worker;
  }

  #done(assembled: Assembled | WorkerFailed): void {
    this.#timer?.cancel();
    const task = this.#current;
    this.#current = undefined;
    if (task) this.#shares.spend(task.flow, this.#clock.monotonic() - this.#beganAt);
    if (assembled instanceof WorkerFailed) task?.reject(assembled);
    else task?.resolve(assembled);
    this.#next();
  }

  #end(): void {
    this.#timer?.cancel();
    const worker = this.#worker;
    this.#worker = undefined;
    void worker?.terminate();
  }
}

function refused(message: string): Assembled {
  return { ok: false, problems: [{ reason: "InvalidData", message: `the Secret's data: ${message}` }] };
}

/** The worker's file is next to this one, as source or as build output. */
function startWorker(): Worker {
  if (!isMainThread) throw new Error("a worker starts no worker");
  const name = import.meta.url.endsWith(".ts") ? "./worker.ts" : "./keyferry-values.js";
  return new Worker(new URL(name, import.meta.url), {
    resourceLimits: { maxOldGenerationSizeMb: heapMebibytes, maxYoungGenerationSizeMb: 8 },
    // Drop the program's options: the worker has its own heap limit, and no preloaded module.
    execArgv: [],
    env: {},
    name: "values",
  });
}

/**
 * Copies the input so that its buffers can be transferred: the values have other users. Shared values are copied once.
 *
 * @returns the copy, and its transfer list
 */
function copied(input: AssembleInput): { copy: AssembleInput; buffers: ArrayBuffer[] } {
  const copies = new Map<Uint8Array, Uint8Array<ArrayBuffer>>();
  const copyOf = (bytes: Uint8Array) => {
    const copy = copies.get(bytes) ?? Uint8Array.from(bytes);
    copies.set(bytes, copy);
    return copy;
  };
  const source = (one: SourceValue): SourceValue =>
    one.state === "value" ? { state: "value", bytes: copyOf(one.bytes) } : one;
  const copy = {
    ...input,
    data: input.data.map((one) => ({ ...one, source: source(one.source) })),
    dataFrom: input.dataFrom.map((many) =>
      many.kind === "path"
        ? { ...many, members: many.members.map(({ name, bytes }) => ({ name, bytes: copyOf(bytes) })) }
        : { ...many, source: source(many.source) },
    ),
  };
  return { copy, buffers: [...copies.values()].map(({ buffer }) => buffer) };
}
