import { createHash } from "node:crypto";
import { weight } from "../../kube/leases/balance.ts";

/** The group of connections without an account of their own: each namespace's ServiceAccount has its own. */
const withoutAccount = "";

/** The name of the group of an AWS account and region. */
export function groupName(account: string | undefined, region: string): string {
  return account === undefined ? withoutAccount : `${account}/${region}`;
}

/** A group as it is published: its connections, and the group that it stays with for the sake of a common queue. */
interface Published {
  of: string[];
  with?: string;
}

/**
 * Which connections belong to which group, and which groups must stay on one shard. All replicas read the same text, so
 * that all of them assign a connection to the same shard. Immutable.
 */
export class Groups {
  /** The canonical JSON text; empty for no groups. */
  readonly text: string;
  /** A short digest of the text. */
  readonly digest: string;
  readonly #groups: ReadonlyMap<string, Published>;
  readonly #byConnection = new Map<string, string>();
  /** By number of shards and group. */
  readonly #shards = new Map<number, Map<string, number>>();

  private constructor(groups: ReadonlyMap<string, Published>, text: string) {
    this.#groups = groups;
    this.text = text;
    this.digest = createHash("sha256").update(text).digest("hex").slice(0, 16);
    for (const [name, { of }] of groups) for (const key of of) this.#byConnection.set(key, name);
  }

  /**
   * @param groupOf the group of each connection
   * @param ties the group that each tied group stays with
   */
  static from(groupOf: ReadonlyMap<string, string>, ties: ReadonlyMap<string, string> = new Map()): Groups {
    const groups = new Map<string, Published>();
    for (const name of [...new Set(groupOf.values())].sort()) {
      const tie = ties.get(name);
      groups.set(name, { of: [], ...(tie === undefined || tie === name ? {} : { with: tie }) });
    }
    for (const [key, name] of [...groupOf].sort(([a], [b]) => (a < b ? -1 : 1))) groups.get(name)!.of.push(key);
    return new Groups(groups, groups.size === 0 ? "" : JSON.stringify(Object.fromEntries(groups)));
  }

  /** Reads a published text. A text of another form, which a person may have written, counts as no groups. */
  static parse(text: string | undefined): Groups {
    const groupOf = new Map<string, string>();
    const ties = new Map<string, string>();
    try {
      for (const [name, group] of Object.entries(JSON.parse(text || "{}") as Record<string, Published>)) {
        for (const key of group.of) groupOf.set(`${key}`, name);
        if (group.with !== undefined) ties.set(name, `${group.with}`);
      }
    } catch {
      return Groups.from(new Map());
    }
    return Groups.from(groupOf, ties);
  }

  /** The group of a connection; undefined while its account is not known. */
  groupOf(connectionKey: string): string | undefined {
    return this.#byConnection.get(connectionKey);
  }

  /** The shard of a connection: that of its group, or 0 while its account is not known. */
  shardOf(connectionKey: string, shards: number): number {
    const group = this.groupOf(connectionKey);
    if (group === undefined) return 0;
    const name = this.#groups.get(group)?.with ?? group;
    if (name === withoutAccount) return 0;
    const known = this.#shards.get(shards) ?? new Map<string, number>();
    this.#shards.set(shards, known);
    const shard = known.get(name) ?? rendezvous(name, shards);
    known.set(name, shard);
    return shard;
  }

  /** Whether one event queue keeps a connection's group together with a group of another account. */
  isTied(connectionKey: string): boolean {
    const group = this.groupOf(connectionKey);
    if (group === undefined) return false;
    const rootOf = (name: string) => this.#groups.get(name)?.with ?? name;
    const together = [...this.#groups.keys()].filter((name) => rootOf(name) === rootOf(group));
    return new Set(together.map((name) => name.split("/")[0])).size > 1;
  }

  /** The group of each connection. */
  get all(): ReadonlyMap<string, string> {
    return this.#byConnection;
  }
}

/** Rendezvous hashing: the shard of the highest weight. Another number of shards moves as few groups as possible. */
export function rendezvous(group: string, shards: number): number {
  let best = 0;
  for (let shard = 1; shard < shards; shard++) if (weight(group, shard) > weight(group, best)) best = shard;
  return best;
}
