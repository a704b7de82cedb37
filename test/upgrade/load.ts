import { setTimeout as sleep } from "node:timers/promises";
import type { Fleet, Member } from "./fleet.ts";

/** Changes the members of a fleet that follow their sources, one after another, at a steady rate. */
export class Load {
  /** How often each member was changed, by name. */
  readonly puts = new Map<string, number>();
  /** The last value of each member that was changed, by name. */
  readonly values = new Map<string, string>();
  readonly #fleet: Fleet;
  readonly #everyMs: number;
  #isOver = false;
  #working: Promise<void>;

  /** Starts. @param everyMs the time between two changes */
  constructor(fleet: Fleet, everyMs: number) {
    this.#fleet = fleet;
    this.#everyMs = everyMs;
    this.#working = this.#run();
  }

  /** Ends the changes. @returns when the last one was made, in milliseconds of `performance.now()` */
  async stop(): Promise<number> {
    this.#isOver = true;
    await this.#working;
    return performance.now();
  }

  async #run(): Promise<void> {
    const { changing } = this.#fleet;
    for (let count = 0; !this.#isOver; count++) {
      await this.#put(changing[count % changing.length]!, `change ${count} of ${performance.timeOrigin}`);
      await sleep(this.#everyMs);
    }
  }

  async #put(member: Member, value: string): Promise<void> {
    this.puts.set(member.name, (this.puts.get(member.name) ?? 0) + 1);
    this.values.set(member.name, value);
    await this.#fleet.put(member, value);
  }
}
