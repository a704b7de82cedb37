import type { MetricObjectWithValues, MetricValue, Registry } from "prom-client";

const linesPerChunk = 2_000;

/**
 * A gauge with one series for each SyncedSecret. It keeps one number for each series; prom-client's Gauge also keeps a
 * labels object and a key, 400 bytes each.
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
    // A registry uses only a metric's name, `get` and `reset` (prom-client, lib/registry.js).
    registry.registerMetric(this as unknown as Parameters<Registry["registerMetric"]>[0]);
  }

  /** @param key `namespace/name` */
  set(key: string, value: number): void {
    this.#values.set(key, value);
  }

  remove(key: string): void {
    this.#values.delete(key);
  }

  /** Removes the series of all other SyncedSecrets. */
  keepOnly(isKept: (key: string) => boolean): void {
    for (const key of this.#values.keys()) if (!isKept(key)) this.#values.delete(key);
  }

  /** All series, for the registry. */
  async get(): Promise<MetricObjectWithValues<MetricValue<string>>> {
    const values = [...this.#values].map(([key, value]) => {
      const [namespace = "", name = ""] = key.split("/");
      return { value, labels: { namespace, name } };
    });
    const { name, help, type } = this;
    return { name, help, type, values, aggregator: "sum" } as unknown as MetricObjectWithValues<MetricValue<string>>;
  }

  /** All series in text format, in chunks that take a few milliseconds each. prom-client takes ten times as long. */
  *text(): Iterable<string> {
    yield `# HELP ${this.name} ${this.help}\n# TYPE ${this.name} gauge\n`;
    let [chunk, lines] = ["", 0];
    for (const [key, value] of this.#values) {
      const slash = key.indexOf("/");
      // Kubernetes names contain no characters that a label value must escape.
      chunk += `${this.name}{namespace="${key.slice(0, slash)}",name="${key.slice(slash + 1)}"} ${value}\n`;
      if (++lines % linesPerChunk > 0) continue;
      yield chunk;
      chunk = "";
    }
    yield chunk;
  }

  reset(): void {
    this.#values.clear();
  }
}
