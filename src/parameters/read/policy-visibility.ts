import type { Clock } from "../../runtime/clock.ts";
import type { Failure } from "../../runtime/failure.ts";

/** Milliseconds between two tries while AWS denies DescribeParameters. */
const deniedMs = 3_600_000;

/** Which identities may call DescribeParameters, and so see policies. */
export class PolicyVisibility {
  readonly #clock: Clock;
  readonly #denied = new Map<string, { failure: Failure; until: number }>();
  /** Identities whose DescribeParameters has succeeded in this process. */
  readonly #answered = new Set<string>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Why an identity cannot see policies; `seen` if it can; undefined if it has not tried yet. */
  of(identityKey: string): Failure | "seen" | undefined {
    return this.#denied.get(identityKey)?.failure ?? (this.#answered.has(identityKey) ? "seen" : undefined);
  }

  /** Whether AWS denied the call within the last hour. */
  isDenied(identityKey: string): boolean {
    return (this.#denied.get(identityKey)?.until ?? -Infinity) > this.#clock.monotonic();
  }

  /** Records a denial. @returns whether its message is new */
  denied(identityKey: string, failure: Failure): boolean {
    const isNews = this.#denied.get(identityKey)?.failure.message !== failure.message;
    this.#denied.set(identityKey, { failure, until: this.#clock.monotonic() + deniedMs });
    return isNews;
  }

  /** Records an answer. @returns whether it is the first one, or ends a denial; undefined if it is neither */
  answered(identityKey: string): "first" | "regained" | undefined {
    const isFirst = !this.#answered.has(identityKey);
    this.#answered.add(identityKey);
    if (this.#denied.delete(identityKey)) return "regained";
    return isFirst ? "first" : undefined;
  }

  /** Forgets an identity without entries. */
  forget(identityKey: string): void {
    this.#denied.delete(identityKey);
    this.#answered.delete(identityKey);
  }
}
