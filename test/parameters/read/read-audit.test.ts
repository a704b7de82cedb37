import { describe, expect, it } from "vitest";
import type { AuditEvent } from "../../../src/runtime/audit.ts";
import { Failure } from "../../../src/runtime/failure.ts";
import { observerRig, parameterOf, pathOf, subscription } from "../../support/observer.ts";

function rigged() {
  const rig = observerRig();
  const identity = rig.aws.identity();
  const seen = () => rig.audited.map(({ resources, ...event }) => ({ ...event, resources: [...resources].sort() }));
  const of = (event: AuditEvent["event"]) => seen().filter((one) => one.event === event);
  return { ...rig, identity, seen, of };
}

describe("the reuse of a cached value is audited", () => {
  it("for a parameter, with the request id of its read, until the cache is cleared", async () => {
    const { aws, identity, observer, of, audited } = rigged();
    aws.put("/a", "v");
    const reference = parameterOf(identity, "/a");
    observer.depend("shop/one", [subscription(reference)]);
    await observer.values(reference, "bulk", { resource: "shop/one" });
    await observer.values(reference, "bulk", { resource: "shop/two" });
    expect(of("read")).toEqual([expect.objectContaining({ resources: ["shop/one"], requestId: "request-1" })]);
    expect(of("reuse")).toEqual([
      expect.objectContaining({ source: "/a", version: 1, resources: ["shop/two"], requestId: "request-1" }),
    ]);
    observer.dropValues();
    audited.length = 0;
    await observer.values(reference, "bulk", { resource: "shop/two" });
    expect(of("read")).toEqual([expect.objectContaining({ resources: ["shop/two"], requestId: "request-2" })]);
    expect(of("reuse")).toEqual([]);
  });

  it("for a path, once for each page", async () => {
    const { aws, identity, observer, of } = rigged();
    for (let i = 0; i < 25; i++) aws.put(`/app/k${i}`, "v");
    const reference = pathOf(identity, "/app");
    observer.depend("shop/one", [subscription(reference)]);
    await observer.values(reference, "bulk", { resource: "shop/one" });
    expect(of("read")).toHaveLength(25);
    await observer.values(reference, "bulk", { resource: "shop/two" });
    expect(of("reuse").map(({ kind, source, requestId }) => [kind, source, requestId])).toEqual(
      [1, 2, 3].map((page) => ["path", "/app", `request-${page}`]),
    );
  });
});

it("the event of a shared read names each resource that joined it, once", async () => {
  const { aws, identity, observer, of } = rigged();
  aws.put("/a", "v");
  aws.put("/app/k", "v");
  for (const reference of [parameterOf(identity, "/a"), pathOf(identity, "/app")]) {
    observer.depend("shop/one", [subscription(reference)]);
    const askers = ["shop/one", "shop/two", "shop/two", "shop/three"];
    await Promise.all(askers.map((resource) => observer.values(reference, "bulk", { resource })));
  }
  expect(of("read").map(({ source, resources }) => [source, resources])).toEqual(
    ["/a", "/app/k"].map((source) => [source, ["shop/one", "shop/three", "shop/two"]]),
  );
  expect(of("reuse")).toEqual([]);
});

it("a path requested in a more urgent lane is read twice, and each event names its own resource", async () => {
  const { aws, identity, observer, of } = rigged();
  aws.put("/app/k", "v");
  const reference = pathOf(identity, "/app");
  observer.depend("shop/one", [subscription(reference)]);
  await Promise.all([
    observer.values(reference, "bulk", { resource: "shop/one" }),
    observer.values(reference, "interactive", { resource: "shop/two" }),
  ]);
  expect(
    of("read")
      .map(({ resources }) => resources)
      .sort(),
  ).toEqual([["shop/one"], ["shop/two"]]);
});

it("a name known to be missing is audited with the id of the last request that found it missing", async () => {
  const { identity, observer, of } = rigged();
  const reference = parameterOf(identity, "/absent");
  observer.depend("shop/one", [subscription(reference)]);
  for (let round = 0; round < 2; round++) {
    await observer.values(reference, "bulk", { fresh: true, resource: "shop/one" });
  }
  expect(of("fail").map(({ reason, requestId }) => [reason, requestId])).toEqual([
    ["ParameterNotFound", "request-1"],
    // The second call was the GetParameter that found out why.
    ["ParameterNotFound", "request-3"],
  ]);
});

it("a failed listing is audited with the path as its source", async () => {
  const { aws, identity, observer, seen } = rigged();
  aws.fault = () => {
    throw new Failure("AccessDenied", "wait", "nobody's business");
  };
  await observer.values(pathOf(identity, "/app"), "bulk", { resource: "shop/one" });
  expect(seen()).toEqual([
    expect.objectContaining({ event: "fail", kind: "path", source: "/app", reason: "AccessDenied" }),
  ]);
});

it("a look without decryption is not audited", async () => {
  const { aws, identity, observer, audited } = rigged();
  aws.put("/a", "v");
  const reference = parameterOf(identity, "/a");
  observer.depend("shop/one", [subscription(reference)]);
  await observer.look([reference], "bulk");
  expect(audited).toEqual([]);
});
