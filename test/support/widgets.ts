import type { KubeObject, Resource } from "../../src/kube/resource.ts";

/** A namespaced resource for tests. */
export const widgets: Resource = {
  group: "example.test",
  version: "v1",
  plural: "widgets",
  kind: "Widget",
  namespaced: true,
};

/** A widget. Default namespace: `shop`; default uid: derived from the name. */
export function widget(name: string, metadata: Partial<KubeObject["metadata"]> = {}, rest: object = {}): KubeObject {
  return {
    apiVersion: "example.test/v1",
    kind: "Widget",
    metadata: { namespace: "shop", name, uid: `uid-${name}`, resourceVersion: "1", ...metadata },
    ...rest,
  };
}
