import type { ListOptions, ListPage, ListWatch, WatchOptions } from "../../src/kube/list-watch.ts";
import type { KubeObject, Resource } from "../../src/kube/resource.ts";

/** Lists and watches over plain HTTP, with Node's fetch: the least that a reflector needs in front of a server. */
export function httpSource(url: string): ListWatch {
  const ask = async (resource: Resource, options: ListOptions | WatchOptions, more: Record<string, string>) => {
    const { namespace, metadataOnly, signal, ...rest } = options;
    const query = new URLSearchParams(more);
    for (const [name, value] of Object.entries(rest)) if (value !== "") query.set(name, String(value));
    const root = resource.group ? `apis/${resource.group}` : "api";
    const scope = namespace ? `namespaces/${namespace}/` : "";
    const headers = { accept: metadataOnly ? "application/json;as=PartialObjectMetadata" : "application/json" };
    const target = `${url}/${root}/${resource.version}/${scope}${resource.plural}?${query}`;
    const response = await fetch(target, { headers, signal: signal ?? null }).catch((cause) => {
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
