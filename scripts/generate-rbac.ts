// Writes the table of docs/rbac.md from what the chart grants, rendered with each scope and each switch. With --check
// it only compares, and exits with 1 if the page differs.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { releaseNamespace, render } from "../test/helm/chart.ts";
import { root } from "./crds.ts";
import { settle } from "./generated.ts";
import { between } from "./markers.ts";
import { always, features, type Scope, scopes } from "./rbac-features.ts";
import { type Granted, operatorPurposes, rbacTable } from "./rbac-of.ts";
import { grantedTo, type Right, wordsOf } from "./rights-of.ts";

const path = "docs/rbac.md";

const rendered = new Map<string, Promise<Right[]>>();

/** Renders the chart once for equal values. */
function rightsWith(scope: Scope, values: object): Promise<Right[]> {
  const all = { ...scopes[scope], ...values };
  const key = JSON.stringify(all);
  const account = { namespace: releaseNamespace, name: "keyferry" };
  const rights = rendered.get(key) ?? render(all).then((objects) => grantedTo(objects, account));
  rendered.set(key, rights);
  return rights;
}

async function addedBy(scope: Scope, off: object, on: object): Promise<Right[]> {
  const [before, after] = await Promise.all([rightsWith(scope, off), rightsWith(scope, on)]);
  const known = new Set(before.map(wordsOf));
  return after.filter((right) => !known.has(wordsOf(right)));
}

const granted: Promise<Granted>[] = (["cluster", "namespaces"] as const).flatMap((scope) => [
  rightsWith(scope, always).then((rights) => ({ feature: undefined, scope, rights })),
  ...features
    .filter(({ only = scope }) => only === scope)
    .map(async ({ name, off, on }) => ({ feature: name, scope, rights: await addedBy(scope, off, on) })),
]);
const page = readFileSync(join(root, path), "utf8");
const table = rbacTable(await Promise.all(granted), releaseNamespace, operatorPurposes);
settle(
  new Map([[path, between({ page, path, source: "helm/keyferry" }, "rights", table)]]),
  "scripts/generate-rbac.ts",
);
