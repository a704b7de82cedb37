import { Groups } from "./groups.ts";

/** What the groups are computed from. */
export interface GroupsInput {
  /** The groups as they are published. */
  current: Groups;
  /** The groups of connections as their shards have found them, where they differ. */
  found: ReadonlyMap<string, string>;
  /** All connections of the cluster, with the URL of the queue that each names. */
  queues: ReadonlyMap<string, string | undefined>;
  /** The maximum length of the text. */
  maxLength: number;
}

/** The groups to publish, and the connections that did not fit. */
export interface NextGroups {
  groups: Groups;
  leftOut: ReadonlySet<string>;
}

/**
 * Computes the groups. Groups whose connections name one queue stay together, because the queue has one receiver. If
 * there are more connections than fit, the last by key are left out: they belong to shard 0, as if their account were
 * not known.
 */
export function nextGroups({ current, found, queues, maxLength }: GroupsInput): NextGroups {
  const groupOf = new Map<string, string>();
  for (const key of [...queues.keys()].sort()) {
    const group = found.get(key) ?? current.groupOf(key);
    if (group !== undefined) groupOf.set(key, group);
  }
  const leftOut = new Set<string>();
  const build = () => Groups.from(groupOf, tiesOf(groupOf, queues));
  let groups = build();
  while (groups.text.length > maxLength) {
    // Half of the excess at least, so that few rounds are enough.
    const excess = Math.ceil(((groups.text.length - maxLength) / groups.text.length) * groupOf.size);
    for (const key of [...groupOf.keys()].slice(-Math.max(1, Math.ceil(excess / 2)))) {
      groupOf.delete(key);
      leftOut.add(key);
    }
    groups = build();
  }
  return { groups, leftOut };
}

/** By group: the first of the groups that it is tied to by common queues. */
function tiesOf(groupOf: ReadonlyMap<string, string>, queues: ReadonlyMap<string, string | undefined>) {
  const roots = new Map<string, string>();
  const rootOf = (name: string): string => {
    const root = roots.get(name);
    return root === undefined || root === name ? name : rootOf(root);
  };
  const byQueue = new Map<string, string>();
  for (const [key, group] of groupOf) {
    const queue = queues.get(key);
    if (queue === undefined) continue;
    const other = byQueue.get(queue);
    byQueue.set(queue, group);
    if (other === undefined) continue;
    // The group without an account is the empty name and so the first: its groups belong to shard 0.
    const [first, second] = [rootOf(other), rootOf(group)].sort() as [string, string];
    roots.set(second, first);
  }
  return new Map([...new Set(groupOf.values())].map((name) => [name, rootOf(name)]));
}
