import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { type Kind, root } from "../../scripts/crds.ts";
import { stale } from "../../scripts/generated.ts";
import { namesOf, referenceOf } from "../../scripts/reference-of.ts";
import { schemasOf } from "../../scripts/schemas-of.ts";
import { typesOf } from "../../scripts/types-of.ts";

const kind: Kind = {
  kind: "Ship",
  apiVersion: "sea.example/v1",
  plural: "ships",
  shortNames: ["sh"],
  namespaced: true,
  columns: [{ name: "Age", jsonPath: ".metadata.creationTimestamp" }],
  schema: {
    type: "object",
    description: "A ship.",
    required: ["spec"],
    properties: {
      spec: {
        type: "object",
        description: "What it is.",
        required: ["name"],
        properties: {
          name: { type: "string", description: "Its name, */ or a|b with a_c." },
          crew: {
            type: "array",
            description: "Who sails.",
            items: { type: "object", properties: { rank: { type: "string", enum: ["Mate", "Cook"] } } },
          },
          flags: { type: "array", items: { type: "string", enum: ["Red", "Blue"] } },
          cargo: { type: "object", additionalProperties: { type: "string" } },
          masts: {
            type: "integer",
            "x-kubernetes-validations": [{ rule: "self > 0", message: "masts must be over 0" }],
          },
          sunk: { type: "boolean" },
        },
      },
      status: {
        type: "object",
        description: "Where it is.",
        properties: { conditions: { type: "array", items: { type: "object" } } },
      },
    },
  },
};

describe("types", () => {
  const blocks = typesOf(kind);
  const of = (name: string) => blocks.find((block) => block.includes(`interface ${name} {`))!;

  test("have the kind and API version as literal types", () => {
    expect(of("Ship")).toContain('  apiVersion: "sea.example/v1";\n  kind: "Ship";\n  metadata: ObjectMeta;');
    expect(of("Ship")).toContain("  spec: ShipSpec;");
    expect(of("Ship")).toContain("  status?: ShipStatus;");
  });

  test("name a nested object by its path", () => {
    expect(of("ShipSpec")).toContain("  crew?: ShipSpecCrew[];");
    expect(of("ShipSpecCrew")).toContain('  rank?: "Mate" | "Cook";');
  });

  test("support enums in lists, maps, numbers and booleans", () => {
    expect(of("ShipSpec")).toContain('  flags?: ("Red" | "Blue")[];');
    expect(of("ShipSpec")).toContain("  cargo?: Record<string, string>;");
    expect(of("ShipSpec")).toContain("  masts?: number;");
    expect(of("ShipSpec")).toContain("  sunk?: boolean;");
  });

  test("escape a description that would end its comment", () => {
    expect(of("ShipSpec")).toContain("  /** Its name, *\\/ or a|b with a_c. */\n  name: string;");
  });

  test("wrap a long description at the formatter's width", () => {
    const long = { ...kind, schema: { ...kind.schema, description: "word ".repeat(60).trim() } };
    const lines = typesOf(long)[0]!.split("\n");
    expect(lines[0]).toBe("/**");
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(120);
    expect(lines.slice(1, 4).join(" ").match(/word/g)).toHaveLength(60);
  });

  test("use the shared type of conditions", () => {
    expect(of("ShipStatus")).toContain("  conditions?: Condition[];");
  });
});

test("schemas keep only the spec, and only what is validated without an API server", () => {
  const [, json] = /Ship:\n {4}'(.*)',\n/.exec(schemasOf([kind]))!;
  expect(JSON.parse(json!)).toEqual({
    type: "object",
    required: ["name"],
    properties: {
      name: { type: "string" },
      crew: {
        type: "array",
        items: { type: "object", properties: { rank: { type: "string", enum: ["Mate", "Cook"] } } },
      },
      flags: { type: "array", items: { type: "string", enum: ["Red", "Blue"] } },
      cargo: { type: "object", additionalProperties: { type: "string" } },
      masts: { type: "integer" },
      sunk: { type: "boolean" },
    },
  });
});

describe("the reference", () => {
  test("has a row for each field, with required fields and allowed values", () => {
    const text = referenceOf(kind);
    expect(text).toContain("| `spec.name` | string, required | Its name, \\*/ or a\\|b with a\\_c. |");
    expect(text).toContain("| `spec.crew` | list of objects | Who sails. |");
    expect(text).toContain("| `spec.crew[].rank` | `Mate`, `Cook` |");
    expect(text).toContain("| `spec.cargo` | map of strings |");
  });

  test("lists the validation rules", () => {
    expect(referenceOf(kind)).toContain("- `spec.masts`: masts must be over 0");
  });

  test("lists the kind's kubectl names and columns", () => {
    expect(namesOf(kind)).toContain("`ships` or `sh`");
    expect(namesOf(kind)).toContain("Age (`.metadata.creationTimestamp`)");
  });
});

describe("a generated file is stale", () => {
  const path = "src/api/types.ts";
  const content = readFileSync(join(root, path), "utf8");

  test("if its contents differ", () => {
    expect(stale(new Map([[path, `${content} `]]))).toEqual([path]);
  });
  test("if it is missing", () => {
    expect(stale(new Map([["src/api/no-such-file.ts", ""]]))).toEqual(["src/api/no-such-file.ts"]);
  });
  test("but not if its contents are equal", () => {
    expect(stale(new Map([[path, content]]))).toEqual([]);
  });
});
