import { until } from "../support/operator.ts";
import type { PrometheusServer } from "./server.ts";

/** When an alert fired and cleared, in seconds after its fault began and ended. */
export interface AlertTimes {
  firedAfterS: number;
  clearedAfterS?: number;
}

/** A fault, the alerts that it must raise, and the end of the fault. */
export interface Fault {
  /** Names of alerts without the prefix `Keyferry`. */
  alerts: readonly string[];
  begin: () => Promise<unknown>;
  end: () => Promise<unknown>;
}

/** Milliseconds between two looks at Prometheus' alerts. */
const everyMs = 500;

/** Follows the alerts of a Prometheus while faults come and go. */
export class AlertWatch {
  /** By name, without the prefix. */
  readonly times = new Map<string, AlertTimes>();
  /** Texts of the alerts that fired. */
  readonly texts = new Set<string>();
  readonly #server: PrometheusServer;
  readonly #withinMs: number;

  /** @param withinMs milliseconds for an alert to fire, and to clear */
  constructor(server: PrometheusServer, withinMs: number) {
    this.#server = server;
    this.#withinMs = withinMs;
  }

  /** The names of the alerts that fire, without the prefix. */
  async firing(): Promise<Set<string>> {
    const names = new Set<string>();
    for (const { state, labels, annotations } of await this.#server.alerts()) {
      if (state !== "firing") continue;
      names.add(labels.alertname!.replace(/^Keyferry/, ""));
      for (const text of Object.values(annotations)) this.texts.add(text);
    }
    return names;
  }

  /** Begins a fault, waits until each of its alerts has fired, ends the fault, and waits until none of them fires. */
  async provoke({ alerts, begin, end }: Fault): Promise<void> {
    const fault = performance.now();
    const silent = new Set(alerts);
    let ended: number;
    try {
      await begin();
      await this.#poll(
        (firing) => {
          for (const alert of [...silent].filter((name) => firing.has(name))) {
            this.times.set(alert, { firedAfterS: secondsSince(fault) });
            silent.delete(alert);
          }
          return silent.size === 0;
        },
        () => `the firing of ${[...silent]}`,
      );
    } finally {
      ended = performance.now();
      await end();
    }
    const loud = new Set(alerts);
    await this.#poll(
      (firing) => {
        for (const alert of [...loud].filter((name) => !firing.has(name))) {
          Object.assign(this.times.get(alert)!, { clearedAfterS: secondsSince(ended) });
          loud.delete(alert);
        }
        return loud.size === 0;
      },
      () => `the end of ${[...loud]}`,
    );
  }

  /** Waits until no alert fires. */
  async quiet(): Promise<void> {
    let left: string[] = [];
    const noted = (firing: Set<string>) => {
      left = [...firing];
      return left.length === 0;
    };
    await this.#poll(noted, () => `the end of ${left}`);
  }

  async #poll(isOver: (firing: Set<string>) => boolean, what: () => string): Promise<void> {
    const look = async () => {
      await new Promise((resolve) => setTimeout(resolve, everyMs));
      return isOver(await this.firing());
    };
    await until(look, this.#withinMs, what);
  }
}

function secondsSince(start: number): number {
  return Math.round((performance.now() - start) / 1_000);
}

/** The times as lines of a table. */
export function tableOfTimes(times: ReadonlyMap<string, AlertTimes>): string {
  const lines = [...times].map(([name, { firedAfterS, clearedAfterS }]) =>
    [name.padEnd(24), `${firedAfterS} s`.padStart(9), `${clearedAfterS} s`.padStart(9)].join(" "),
  );
  return [["alert".padEnd(24), "fires".padStart(9), "clears".padStart(9)].join(" "), ...lines].join("\n");
}
