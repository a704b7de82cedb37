import { Agent, fetch } from "undici";
import type { ListOptions, ListPage, ListWatch, WatchOptions } from "../../src/kube/list-watch.ts";
import type { KubeObject, Resource } from "../../src/kube/resource.ts";

/**
 * Lists and watches over HTTP: the least that a reflector needs in front of a server.
 *
 * @param access for a server with TLS: its certificates (PEM), and the bearer token
 */
export function httpSource(url: string, access?: { ca: string; token: string }): ListWatch {
  // Over HTTP/2, undici throws an idle session's time-out where nobody can catch it.
  const connection = { allowH2: false, bodyTimeout: 0 };
  const dispatcher = new Agent(access ? { ...connection, connect: { ca: access.ca } } : connection);
  const ask = async (resource: Resource, options: ListOptions | WatchOptions, more: Record<string, string>) => {
    const { namespace, metadataOnly, signal, ...rest } = options;
    const query = new URLSearchParams(more);
    for (const [name, value] of Object.entries(rest)) if (value !== "") query.set(name, String(value));
    const root = resource.group ? `apis/${resource.group}` : "api";
    const scope = namespace ? `namespaces/${namespace}/` : "";
    const kind = more.watch ? "PartialObjectMetadata" : "PartialObjectMetadataList";
    const headers = {
      accept: metadataOnly ? `application/json;as=${kind};g=meta.k8s.io;v=v1,application/json` : "application/json",
      ...(access && { authorization: `Bearer ${access.token}` }),
    };
    const target = `${url}/${root}/${resource.version}/${scope}${resource.plural}?${query}`;
    const response = await fetch(target, { headers, signal: signal ?? null, dispatcher }).catch((cause) => {
      throw Object.assign(new Error("no answer", { cause }), { kind: "network" });
    });
    if (response.ok) return response;
    const { reason } = (await response.json()) as { reason: string };
    const after = response.headers.get("retry-after");
    throw Object.assign(new Error(`status ${response.status}`), {
      kind: "other",
      status: response.status,
      reason,
      ...(after && { retryAfterMs: Number(after) * 1000 }),
    });
  };
  return {
    async list<T extends KubeObject>(resource: Resource, options: ListOptions): Promise<ListPage<T>> {
      const response = await ask(resource, options, {});
      const { items, metadata } = (await response.json()) as { items: T[]; metadata: Omit<ListPage<T>, "items"> };
      return { items, resourceVersion: metadata.resourceVersion, continue: metadata.continue };
    },
    async watch(resource: Resource, options: WatchOptions) {
      return (await ask(resource, options, { watch: "true" })).body!;
    },
  };
}
