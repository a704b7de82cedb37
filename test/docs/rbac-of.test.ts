import { describe, expect, test } from "vitest";
import { type Granted, rbacTable } from "../../scripts/rbac-of.ts";
import type { Right } from "../../scripts/rights-of.ts";

const purposes = [
  ["things.x.io", "list watch", "finds things"],
  ["things.x.io", "get", "reads a thing"],
] as const;
const right = (verb: string, namespace = "", name = ""): Right => ({ namespace, resource: "things.x.io", verb, name });
const table = (...all: Granted[]) => rbacTable(all, "ops", purposes).split("\n").slice(2);
const cluster = (...rights: Right[]): Granted => ({ feature: undefined, scope: "cluster", rights });

describe("the table of rights", () => {
  test("has a row for each purpose and switch, with the places of each scope", () => {
    const some = ["list", "watch", "get"].map((verb) => right(verb, "each"));
    const rows = table(
      cluster(right("list"), right("watch")),
      { feature: "a.b", scope: "cluster", rights: [right("get", "ops", "one")] },
      { feature: undefined, scope: "namespaces", rights: [...some, right("list", "connection")] },
    );
    const lists = "each of `namespaces`; that of `defaultConnection` (`list`)";
    expect(rows).toEqual([
      `| \`things.x.io\` | \`list\`, \`watch\` | cluster | ${lists} | always | finds things |`,
      "| `things.x.io`, only `one` | `get` | its own namespace | no | `a.b` | reads a thing |",
      "| `things.x.io` | `get` | no | each of `namespaces` | always | reads a thing |",
    ]);
  });

  test("has one row for names that differ in their number", () => {
    const named = ["one-0", "one-1"].map((name) => right("get", "ops", name));
    const rows = table(cluster(right("list"), right("watch"), ...named));
    expect(rows.slice(1)).toEqual([
      "| `things.x.io`, only `one-I` | `get` | its own namespace | no | always | reads a thing |",
    ]);
  });

  test("is refused for a right without a purpose", () => {
    expect(() => table(cluster(right("delete")))).toThrow("does not say what delete things.x.io is for");
  });

  test("is refused for a purpose without a right", () => {
    expect(() => table(cluster(right("get")))).toThrow("nothing is granted for: list watch things.x.io");
  });

  test("is refused for a right in a namespace that no value names", () => {
    expect(() => table(cluster(right("get", "elsewhere"), right("list")))).toThrow("in namespace elsewhere");
  });
});
