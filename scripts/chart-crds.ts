// Copies crds/ into the chart, which cannot reach outside its own folder: Flux omits links when it fetches a chart
// from Git. With --check it only compares, and exits with 1 if a file differs.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "./crds.ts";
import { settle } from "./generated.ts";

const files = readdirSync(join(root, "crds")).filter((name) => name.endsWith(".yaml"));
const copies = files.map(
  (name) => [`helm/keyferry/files/crds/${name}`, readFileSync(join(root, "crds", name), "utf8")] as const,
);
settle(new Map(copies), "scripts/chart-crds.ts");
