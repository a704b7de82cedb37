import type { KubeClient } from "../../../src/kube/client/client.ts";
import { KubeError } from "../../../src/kube/errors.ts";
import type { Lease } from "../../../src/kube/leases/lease.ts";
import type { KubeObject, Resource } from "../../../src/kube/resource.ts";

type Verb = "get" | "create" | "update";

/** An API server with the Leases of one namespace, which checks resourceVersions and tells watchers of each change. */
export class LeaseNamespace {
  readonly leases = new Map<string, Lease>();
  /** The verbs of all requests, in order. */
  readonly requests: Verb[] = [];
  /** Called before a request of a client; a rejection is its answer. */
  before: (verb: Verb, client: string) => Promise<void> | void = () => {};
  readonly #watchers = new Set<(name: string, lease: Lease | undefined) => void>();
  #version = 0;

  /** A client by the name that `before` gets. */
  client(client: string): Pick<KubeClient, Verb> {
    const request = async (verb: Verb) => {
      this.requests.push(verb);
      await this.before(verb, client);
    };
    return {
      get: async <T extends KubeObject>(_: Resource, _namespace: string | undefined, name: string) => {
        await request("get");
        const lease = this.leases.get(name);
        if (!lease) throw new KubeError("notFound", "GET: 404");
        return structuredClone(lease) as KubeObject as T;
      },
      create: async <T extends KubeObject>(_: Resource, lease: T) => {
        await request("create");
        if (this.leases.has(lease.metadata.name!)) throw new KubeError("alreadyExists", "POST: 409");
        return this.put(lease) as KubeObject as T;
      },
      update: async <T extends KubeObject>(_: Resource, lease: T) => {
        await request("update");
        const known = this.leases.get(lease.metadata.name!);
        if (!known) throw new KubeError("notFound", "PUT: 404");
        if (lease.metadata.resourceVersion !== known.metadata.resourceVersion) {
          throw new KubeError("conflict", "PUT: 409");
        }
        return this.put(lease) as KubeObject as T;
      },
    };
  }

  /** Passes each Lease, and from now on each change. @returns ends it */
  watch(watcher: (name: string, lease: Lease | undefined) => void): () => void {
    for (const [name, lease] of this.leases) watcher(name, structuredClone(lease));
    this.#watchers.add(watcher);
    return () => this.#watchers.delete(watcher);
  }

  /** Stores a Lease as a person would. */
  put(lease: Lease): Lease {
    const name = lease.metadata.name!;
    const metadata = { uid: name, ...lease.metadata, resourceVersion: String(++this.#version) };
    const stored = structuredClone({ ...lease, metadata });
    this.leases.set(name, stored);
    for (const watcher of this.#watchers) watcher(name, structuredClone(stored));
    return structuredClone(stored);
  }

  /** The holder of a Lease, empty if it was released. */
  holderOf(name: string): string | undefined {
    return this.leases.get(name)?.spec?.holderIdentity;
  }
}
