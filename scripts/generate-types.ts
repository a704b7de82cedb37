// Writes src/api/types.ts and src/api/schemas.ts from crds/. With --check it only compares, and exits with 1 if a
// file differs.
import { readKinds } from "./crds.ts";
import { settle } from "./generated.ts";
import { schemasOf } from "./schemas-of.ts";
import { typesOf } from "./types-of.ts";

const generated = "// Generated from crds/ by scripts/generate-types.ts. Do not edit.\n";
const head = `${generated}
import type { Condition } from "./conditions.ts";
import type { ObjectMeta } from "./metadata.ts";
`;

const schemasHead = `${generated}
/** The schema of each kind's spec, as JSON, for commands that run without an API server. */
`;

const kinds = readKinds();
const types = [head, ...kinds.flatMap((kind) => typesOf(kind).map((block) => `${block}\n`))].join("\n");
const files = new Map([
  ["src/api/types.ts", types],
  ["src/api/schemas.ts", schemasHead + schemasOf(kinds)],
]);
settle(files, "scripts/generate-types.ts");
