import type { KubeClient } from "../../../src/kube/client/client.ts";
import { KubeError } from "../../../src/kube/errors.ts";
import type { Lease } from "../../../src/kube/leases/lease.ts";
import type { KubeObject, Resource } from "../../../src/kube/resource.ts";

type Verb = "get" | "create" | "update";

/** An API server with one Lease, which checks resourceVersions and tells watchers of each change. */
export class LeaseServer {
  lease: Lease | undefined;
  /** The verbs of all requests, in order. */
  readonly requests: Verb[] = [];
  /** Called before a request of a client; a rejection is its answer. */
  before: (verb: Verb, client: string) => Promise<void> | void = () => {};
  readonly #watchers = new Set<(lease: Lease | undefined) => void>();
  #version = 0;

  /** A client by the name that `before` gets. */
  client(name: string): Pick<KubeClient, Verb> {
    const request = async (verb: Verb) => {
      this.requests.push(verb);
      await this.before(verb, name);
    };
    return {
      get: async <T extends KubeObject>() => {
        await request("get");
        if (!this.lease) throw new KubeError("notFound", "GET: 404");
        return structuredClone(this.lease) as KubeObject as T;
      },
      create: async <T extends KubeObject>(_: Resource, lease: T) => {
        await request("create");
        if (this.lease) throw new KubeError("alreadyExists", "POST: 409");
        return this.put(lease) as KubeObject as T;
      },
      update: async <T extends KubeObject>(_: Resource, lease: T) => {
        await request("update");
        if (!this.lease) throw new KubeError("notFound", "PUT: 404");
        if (lease.metadata.resourceVersion !== this.lease.metadata.resourceVersion) {
          throw new KubeError("conflict", "PUT: 409");
        }
        return this.put(lease) as KubeObject as T;
      },
    };
  }

  watch(watcher: (lease: Lease | undefined) => void): void {
    this.#watchers.add(watcher);
  }

  /** Stores a Lease as a person would. */
  put(lease: Lease): Lease {
    const metadata = { uid: "u", ...lease.metadata, resourceVersion: String(++this.#version) };
    this.lease = structuredClone({ ...lease, metadata });
    this.#tell();
    return structuredClone(this.lease);
  }

  remove(): void {
    this.lease = undefined;
    this.#tell();
  }

  get holder(): string | undefined {
    return this.lease?.spec?.holderIdentity;
  }

  #tell(): void {
    for (const watcher of this.#watchers) watcher(structuredClone(this.lease));
  }
}
