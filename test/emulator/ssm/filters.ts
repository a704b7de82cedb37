import { type Json, ServiceError } from "../http.ts";
import { objects, requiredString, strings } from "../input.ts";
import type { Version } from "./store.ts";

/** One of ParameterFilters. */
export interface Filter {
  key: string;
  option: string;
  values: string[];
}

/** What each operation may filter by, and how (API Reference, ParameterStringFilter). */
const allowed = {
  GetParametersByPath: new Map([
    ["Type", ["Equals", "BeginsWith"]],
    ["KeyId", ["Equals", "BeginsWith"]],
    ["Label", ["Equals"]],
  ]),
  DescribeParameters: new Map([
    ["Name", ["Equals", "BeginsWith", "Contains"]],
    ["Type", ["Equals", "BeginsWith"]],
    ["KeyId", ["Equals", "BeginsWith"]],
    ["Path", ["OneLevel", "Recursive"]],
    ["Tier", ["Equals"]],
    ["DataType", ["Equals", "BeginsWith"]],
    ["tag", ["Equals"]],
  ]),
} as const;

/** The most values of a filter (API Reference, ParameterStringFilterValueList). */
const mostValues = 50;

/** @throws ServiceError InvalidFilterKey, InvalidFilterOption, InvalidFilterValue */
export function parseFilters(operation: keyof typeof allowed, input: Json): Filter[] {
  return objects(input, "ParameterFilters").map((filter) => {
    const key = requiredString(filter, "Key");
    const options: readonly string[] | undefined = allowed[operation].get(key.startsWith("tag:") ? "tag" : key);
    if (!options) throw new ServiceError("InvalidFilterKey", `The following filter key is not valid: ${key}.`);
    const option = filter.Option === undefined ? options[0]! : requiredString(filter, "Option");
    if (!options.includes(option)) {
      throw new ServiceError("InvalidFilterOption", `The following filter option is not valid: ${option}.`);
    }
    const values = strings(filter, "Values");
    if (values.length > mostValues || (values.length === 0 && !key.startsWith("tag:"))) {
      throw new ServiceError("InvalidFilterValue", `A filter has 1 to ${mostValues} values.`);
    }
    return { key, option, values };
  });
}

/** Whether a parameter passes every filter. A label is not looked at: it says which version is meant. */
export function passes(filters: readonly Filter[], version: Version, tags: ReadonlyMap<string, string>): boolean {
  return filters.every(({ key, option, values }) => {
    if (key === "Label") return true;
    if (key === "Path") return values.some((path) => liesUnder(version.name, path, option === "Recursive"));
    if (key.startsWith("tag:")) {
      const tag = tags.get(key.slice("tag:".length));
      return tag !== undefined && (values.length === 0 || values.includes(tag));
    }
    const field = fields.get(key)!(version);
    if (option === "BeginsWith") return values.some((value) => field.startsWith(value));
    return option === "Contains" ? values.some((value) => field.includes(value)) : values.includes(field);
  });
}

const fields: ReadonlyMap<string, (version: Version) => string> = new Map([
  ["Name", (version: Version) => version.name],
  ["Type", (version: Version) => version.type],
  ["KeyId", (version: Version) => version.keyId ?? ""],
  ["Tier", (version: Version) => version.tier],
  ["DataType", (version: Version) => version.dataType],
]);

function liesUnder(name: string, path: string, recursive: boolean): boolean {
  const folder = path.endsWith("/") ? path : `${path}/`;
  return name.startsWith(folder) && (recursive || !name.slice(folder.length).includes("/"));
}
