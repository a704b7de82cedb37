/** Shares the rollouts that may be in progress at once among namespaces. */
export class Slots {
  readonly #most: number;
  readonly #wake: (namespace: string) => void;
  readonly #taken = new Map<string, ReadonlySet<string>>();
  /** Namespaces that a new process has not looked at yet: rollouts of a former leader may be in progress there. */
  readonly #unknown = new Set<string>();
  /** Namespaces that found no free slot. */
  readonly #waiting = new Set<string>();

  /**
   * @param most in all namespaces together
   * @param wake is called for a namespace that may have a slot now
   */
  constructor(most: number, wake: (namespace: string) => void) {
    this.#most = most;
    this.#wake = wake;
  }

  /** Gives no slot until each of these namespaces has taken its own. */
  survey(namespaces: Iterable<string>): void {
    for (const namespace of namespaces) this.#unknown.add(namespace);
  }

  /** Ends the survey of a namespace that cannot be looked at. */
  skip(namespace: string): void {
    if (this.#unknown.has(namespace)) this.take(namespace, new Set());
  }

  /** How many rollouts may be in progress in a namespace. */
  of(namespace: string): number {
    if ([...this.#unknown].some((other) => other !== namespace)) return 0;
    let others = 0;
    for (const [other, taken] of this.#taken) if (other !== namespace) others += taken.size;
    const free = Math.max(this.#most - others, 0);
    const contenders = new Set([namespace, ...this.#waiting, ...this.#taken.keys()]).size;
    // While others wait, a namespace may have its share: it would take each slot that it gives back.
    const waits = [...this.#waiting].some((other) => other !== namespace);
    return waits ? Math.min(free, Math.max(Math.floor(this.#most / contenders), Math.min(this.#most, 1))) : free;
  }

  /**
   * Records the workloads of a namespace whose rollout is in progress. Wakes the waiting namespaces if there are fewer.
   *
   * @param isFull whether a restart found no slot: the namespace waits for one
   */
  take(namespace: string, inProgress: ReadonlySet<string>, isFull = false): void {
    const before = this.#taken.get(namespace)?.size ?? 0;
    const wasUnknown = this.#unknown.delete(namespace);
    if (inProgress.size > 0) this.#taken.set(namespace, inProgress);
    else this.#taken.delete(namespace);
    if (isFull) this.#waiting.add(namespace);
    else this.#waiting.delete(namespace);
    const isKnown = wasUnknown && this.#unknown.size === 0;
    if (inProgress.size >= before && !isKnown) return;
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const other of waiting) this.#wake(other);
  }
}
