import { onTestFinished } from "vitest";
import { Reflector, type ReflectorOptions } from "../../../src/kube/informer/reflector.ts";
import type { Change } from "../../../src/kube/informer/store.ts";
import type { KubeObject } from "../../../src/kube/resource.ts";
import { Metrics } from "../../../src/metrics/metrics.ts";
import type { Timer } from "../../../src/runtime/clock.ts";
import { FakeClock } from "../../support/clock.ts";
import { clientOf } from "../../support/kube-client.ts";
import { ScriptedServer, until } from "../../support/scripted-server.ts";
import { widgets } from "../../support/widgets.ts";

/** A fake clock that reports the delays of its timers. */
class WatchedClock extends FakeClock {
  /** The delays in milliseconds of all pending timers. */
  readonly waits: number[] = [];
  /** Added to now(), never to monotonic(). */
  jump = 0;

  override now(): number {
    return super.now() + this.jump;
  }

  override setTimer(fire: () => void, ms: number): Timer {
    this.waits.push(ms);
    const forget = () => {
      const at = this.waits.indexOf(ms);
      if (at >= 0) this.waits.splice(at, 1);
    };
    let over = false;
    const once = () => {
      if (!over) forget();
      over = true;
    };
    const timer = super.setTimer(() => {
      once();
      fire();
    }, ms);
    return {
      cancel() {
        once();
        timer.cancel();
      },
    };
  }
}

/** A reflector of widgets and a scripted server, both stopped when the test ends. */
export async function rig(options: Partial<ReflectorOptions<KubeObject>> & { server?: ScriptedServer } = {}) {
  const server = options.server ?? (await ScriptedServer.start());
  const { client, close } = clientOf(server.url);
  const clock = new WatchedClock();
  const stop = new AbortController();
  const metrics = new Metrics();
  const changes: Change<KubeObject>[] = [];
  const lines: { level: string; fields: object; message: string }[] = [];
  const line = (level: string) => (fields: object, message: string) => void lines.push({ level, fields, message });
  const reflector = new Reflector<KubeObject>({
    source: client,
    resource: widgets,
    onChange: (change) => void changes.push(change),
    clock,
    random: () => 0,
    metrics,
    log: { debug: line("debug"), info: line("info"), warn: line("warn"), error: line("error") },
    ...options,
  });
  const ended = reflector.run(stop.signal);
  onTestFinished(async () => {
    stop.abort();
    await ended;
    await close();
    await server.close();
  });
  return {
    server,
    clock,
    reflector,
    stop,
    ended,
    changes,
    lines,
    /** Returns and clears the reported changes, as `key: resourceVersion before→after`. */
    reported(): string[] {
      return changes.splice(0).map(({ key, before, after }) => {
        return `${key} ${before?.metadata.resourceVersion ?? "-"}→${after?.metadata.resourceVersion ?? "-"}`;
      });
    },
    /** Resolves when `count` changes have been reported since the last `reported`. */
    heard: (count: number) => until(() => changes.length >= count, `${count} changes`),
    /** Answers the first list. @returns the watch that follows */
    async synced(items: object[] = [], resourceVersion = "10") {
      (await server.nextList()).list(items, { resourceVersion });
      await reflector.synced;
      return server.nextWatch();
    },
    /** Waits until the reflector delays for `ms`, checks that no request comes before, and advances the clock. */
    async pass(ms: number): Promise<void> {
      await until(() => clock.waits.includes(ms), `a wait of ${ms} ms among ${clock.waits}`);
      await clock.advance(ms - 1);
      await new Promise((resolve) => setTimeout(resolve, 10));
      if (server.unseen > 0) throw new Error("a request came before the delay was over");
      await clock.advance(1);
    },
    /** watch_restarts_total by cause. */
    async restarts(): Promise<Record<string, number>> {
      const { values } = await metrics.watchRestarts.get();
      return Object.fromEntries(values.map(({ labels, value }) => [labels.cause, value]));
    },
  };
}

/** Watch events of widgets. */
export const added = (object: object) => ({ type: "ADDED", object });
export const modified = (object: object) => ({ type: "MODIFIED", object });
export const deleted = (object: object) => ({ type: "DELETED", object });
export const bookmark = (resourceVersion: string) => ({
  type: "BOOKMARK",
  object: {
    apiVersion: "example.test/v1",
    kind: "Widget",
    metadata: { resourceVersion },
  },
});
export const failure = (object: object) => ({ type: "ERROR", object });
