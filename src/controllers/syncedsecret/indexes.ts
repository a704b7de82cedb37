import type { SyncedSecret } from "../../api/types.ts";
import { each, type OneOrMany } from "../../runtime/one-or-many.ts";
import { reindex } from "../index-of.ts";
import { targetOf } from "./plan/target.ts";

/** Finds SyncedSecrets, namespace/name, by what concerns them. */
export class Indexes {
  readonly #connectionOf: (resource: SyncedSecret) => string;
  readonly #byConnection = new Map<string, OneOrMany<string>>();
  readonly #byTarget = new Map<string, OneOrMany<string>>();
  readonly #byNamespace = new Map<string, OneOrMany<string>>();

  /** @param connectionOf the key of the connection that a SyncedSecret names */
  constructor(connectionOf: (resource: SyncedSecret) => string) {
    this.#connectionOf = connectionOf;
  }

  /** Handles a change of a SyncedSecret; undefined where it does not exist. */
  changed(key: string, before: SyncedSecret | undefined, after: SyncedSecret | undefined): void {
    const connectionOf = this.#connectionOf;
    reindex(this.#byConnection, key, before && connectionOf(before), after && connectionOf(after));
    reindex(this.#byTarget, key, before && targetKey(before), after && targetKey(after));
    reindex(this.#byNamespace, key, before?.metadata.namespace, after?.metadata.namespace);
  }

  /** The SyncedSecrets that name a connection. */
  usersOf(connectionKey: string): Iterable<string> {
    return each(this.#byConnection.get(connectionKey));
  }

  /** The SyncedSecrets that write a Secret, namespace/name. */
  writersOf(secret: string): Iterable<string> {
    return each(this.#byTarget.get(secret));
  }

  /** The SyncedSecrets of a namespace. */
  in(namespace: string): Iterable<string> {
    return each(this.#byNamespace.get(namespace));
  }
}

function targetKey(resource: SyncedSecret): string {
  const { namespace, name } = targetOf(resource);
  return `${namespace}/${name}`;
}
