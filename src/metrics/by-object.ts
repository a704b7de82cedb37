import type { MetricObjectWithValues, MetricValue, Registry } from "prom-client";

const linesOfAPiece = 2_000;

/**
 * A gauge with one series a SyncedSecret, which takes one number for each between two scrapes. A Gauge of prom-client
 * keeps a labels object and a key for every series besides: 400 bytes each, which nobody reads but a scrape.
 */
export class GaugeByObject {
  readonly name: string;
  readonly help: string;
  readonly type = "gauge";
  readonly labelNames = ["namespace", "name"];
  readonly #values = new Map<string, number>();

  constructor(name: string, help: string, registry: Registry) {
    this.name = name;
    this.help = help;
    // What a registry asks of a metric is its name, `get` and `reset` (prom-client, lib/registry.js).
    registry.registerMetric(this as unknown as Parameters<Registry["registerMetric"]>[0]);
  }

  /** @param key `namespace/name` */
  set(key: string, value: number): void {
    this.#values.set(key, value);
  }

  remove(key: string): void {
    this.#values.delete(key);
  }

  /** Every series, for the registry. */
  async get(): Promise<MetricObjectWithValues<MetricValue<string>>> {
    const values = [...this.#values].map(([key, value]) => {
      const [namespace = "", name = ""] = key.split("/");
      return { value, labels: { namespace, name } };
    });
    const { name, help, type } = this;
    return { name, help, type, values, aggregator: "sum" } as unknown as MetricObjectWithValues<MetricValue<string>>;
  }

  /** Every series as the page has it, in pieces of some milliseconds: prom-client takes ten times as long. */
  *text(): Iterable<string> {
    yield `# HELP ${this.name} ${this.help}\n# TYPE ${this.name} gauge\n`;
    let [piece, lines] = ["", 0];
    for (const [key, value] of this.#values) {
      const slash = key.indexOf("/");
      // Names of Kubernetes hold nothing that a label's value would have to escape.
      piece += `${this.name}{namespace="${key.slice(0, slash)}",name="${key.slice(slash + 1)}"} ${value}\n`;
      if (++lines % linesOfAPiece > 0) continue;
      yield piece;
      piece = "";
    }
    yield piece;
  }

  reset(): void {
    this.#values.clear();
  }
}
