// Writes src/api/types.ts from crds/. With --check it only compares, and exits with 1 where the file differs.
import { readKinds } from "./crds.ts";
import { settle } from "./generated.ts";
import { typesOf } from "./types-of.ts";

const head = `// Generated from crds/ by scripts/generate-types.ts. Do not edit.

import type { Condition } from "./conditions.ts";
import type { ObjectMeta } from "./metadata.ts";
`;

const content = [head, ...readKinds().flatMap((kind) => typesOf(kind).map((block) => `${block}\n`))].join("\n");
settle(new Map([["src/api/types.ts", content]]), "scripts/generate-types.ts");
