import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { readKinds, root, type Schema } from "../../scripts/crds.ts";

const kinds = readKinds();

/** Every schema below one, itself included, with its path. */
function walk(path: string, schema: Schema): [path: string, schema: Schema][] {
  const inner = Object.entries(schema.properties ?? {}).flatMap(([name, child]) => walk(`${path}.${name}`, child));
  const items = schema.items ? walk(`${path}[]`, schema.items) : [];
  const values = schema.additionalProperties ? walk(`${path}{}`, schema.additionalProperties) : [];
  return [[path, schema], ...inner, ...items, ...values];
}

const schemas = kinds.flatMap(({ kind, schema }) => walk(kind, schema));
const under = (part: string) => schemas.filter(([path]) => path.includes(`.${part}`));
const pathsWhere = (list: [string, Schema][], wrong: (schema: Schema, path: string) => unknown) =>
  list.filter(([path, schema]) => wrong(schema, path)).map(([path]) => path);

describe("the schemas", () => {
  test("cover the three kinds", () => {
    expect(kinds.map(({ kind }) => kind)).toEqual(["AWSConnection", "ClusterAWSConnection", "SyncedSecret"]);
  });

  test("describe every field in whole sentences", () => {
    const fields = [...under("spec"), ...under("status")].filter(([path]) => !path.endsWith("{}"));
    expect(fields.length).toBeGreaterThan(100);
    expect(pathsWhere(fields, ({ description }) => !/^[A-Z].*[.]$/.test(description ?? ""))).toEqual([]);
  });

  test("allow as many keys as there can be ciphertexts", () => {
    const most = (field: string) => schemas.find(([path]) => path === `SyncedSecret.${field}`)![1].maxItems!;
    expect(most("status.kmsKeys")).toBe(most("spec.data") + most("spec.dataFrom"));
  });

  test("describe the effect of omitting every optional field of a spec", () => {
    const optional = under("spec").flatMap(([path, schema]) =>
      Object.entries(schema.properties ?? {})
        .filter(([name, child]) => !schema.required?.includes(name) && child.type !== "object")
        .map(([name, child]): [string, Schema] => [`${path}.${name}`, child]),
    );
    // One of several: its absence means that another is there; a list of many keys needs no word for none.
    const telling = /Default: |is required|[Rr]equired with|\.(data|dataFrom|selector|names|values)$/;
    expect(
      pathsWhere(optional, ({ description }, path) => !telling.test(`${description}`) && !telling.test(path)),
    ).toEqual([]);
  });

  test("set no default in a spec, which GitOps tools would report as drift", () => {
    const paths = pathsWhere(schemas, (schema) => "default" in schema);
    expect(paths.filter((path) => !path.endsWith(".status"))).toEqual([]);
  });

  test("say of each status that the operator has not seen the resource", () => {
    expect(pathsWhere(schemas, (schema) => "default" in schema)).toHaveLength(kinds.length);
    for (const { schema } of kinds) {
      expect(schema.properties!.status).toMatchObject({ default: { observedGeneration: -1 } });
    }
  });

  test("bound every string, list and map", () => {
    const unbounded = ({
      type,
      enum: values,
      format,
      maxLength,
      maxItems,
      additionalProperties,
      maxProperties,
    }: Schema) =>
      (type === "string" && !values && format !== "date-time" && maxLength === undefined) ||
      (type === "array" && maxItems === undefined) ||
      (additionalProperties && maxProperties === undefined);
    expect(pathsWhere([...under("spec"), ...under("status")], unbounded)).toEqual([]);
  });

  test("give every rule a message without a final full stop, because the API server lists messages", () => {
    const rules = schemas.flatMap(([path, schema]) =>
      (schema["x-kubernetes-validations"] ?? []).map((rule) => ({ path, ...rule })),
    );
    expect(rules.length).toBeGreaterThan(50);
    expect(rules.filter(({ message }) => !message || /[^.][.]$/.test(message))).toEqual([]);
  });

  test("apply the same rules to a parameter in data and dataFrom", () => {
    const at = (wanted: string) => schemas.find(([path]) => path === `SyncedSecret.spec.${wanted}`)![1];
    for (const field of ["name", "label"]) {
      expect(at(`data[].parameter.${field}`)).toEqual(at(`dataFrom[].parameter.${field}`));
    }
    const rules = (path: string) => at(path)["x-kubernetes-validations"];
    expect(rules("data[].parameter")).toEqual(rules("dataFrom[].parameter"));
  });

  test("apply the same rules for names and keys to both kinds of connection", () => {
    const at = (kind: string, field: string) => schemas.find(([path]) => path === `${kind}.spec.${field}`)![1];
    for (const field of ["region", "pollInterval", "allow.parameters[]", "allow.keyIds[]"]) {
      expect(at("AWSConnection", field)).toEqual(at("ClusterAWSConnection", field));
    }
  });

  test("show the same columns for both kinds of connection", () => {
    const [own, cluster] = kinds.filter(({ kind }) => kind.endsWith("AWSConnection"));
    expect(own!.columns).toEqual(cluster!.columns);
  });

  test("select namespaces with the names of meta/v1 LabelSelector", () => {
    const selector = schemas.find(([path]) => path.endsWith("namespaces.selector"))![1];
    expect(Object.keys(selector.properties!)).toEqual(["matchLabels", "matchExpressions"]);
  });
});

describe("files generated from the schemas", () => {
  for (const script of ["scripts/generate-types.ts", "scripts/generate-reference.ts"]) {
    test(`is as ${script} would write it`, () => {
      execFileSync(process.execPath, [join(root, script), "--check"], { stdio: "pipe" });
    });
  }

  test("has one page of the reference for each kind", () => {
    for (const { kind } of kinds) {
      const page = readFileSync(join(root, `docs/reference/${kind.toLowerCase()}.md`), "utf8");
      expect(page).toContain("`spec.");
      expect(page).toContain("`status.");
    }
  });
});

test("every file of crds/ is plain YAML without anchors, which some tools do not support", () => {
  for (const { plural } of kinds) {
    const text = readFileSync(join(root, `crds/${plural}.yaml`), "utf8");
    expect(parse(text, { maxAliasCount: 0 }).metadata.name).toBe(`${plural}.keyferry.io`);
    expect(text).not.toMatch(/^\s*<<:/m);
  }
});
