import { type Call, parameterArn } from "../call.ts";
import type { Denials } from "../denials.ts";
import { pageOffset, pageToken } from "../faults.ts";
import { type Json, ServiceError } from "../http.ts";
import { invalid, requiredString, strings, wholeNumber } from "../input.ts";
import { parseFilters, passes } from "./filters.ts";
import { byName, isAws, nameProblem, parseReference, type Reference } from "./names.ts";
import type { Secure } from "./secure.ts";
import { type Lookup, notFound, type Store, type Version } from "./store.ts";

const mostNames = 10;
const passThrough = "/aws/reference/secretsmanager/";

/** The reads that give values: GetParameter, GetParameters, GetParametersByPath. */
export class Reads {
  #storeOf: (name: string) => Store;
  #secure: Secure;
  #denials: Denials;

  constructor(storeOf: (name: string) => Store, secure: Secure, denials: Denials) {
    this.#storeOf = storeOf;
    this.#secure = secure;
    this.#denials = denials;
  }

  async getParameter(call: Call): Promise<Json> {
    const asked = requiredString(call.input, "Name");
    const reference = parseReference(call, asked);
    if (!reference) throw new ServiceError("ValidationException", `Invalid parameter name ${asked}.`);
    this.#check(call, reference);
    const [found] = await this.#find(call, [reference]);
    if (found) return { Parameter: this.#wire(call, ...found) };
    const exists = (await this.#storeOf(reference.name).find(reference.scope, [reference.name])).size > 0;
    if (exists && reference.selector && /^\d+$/.test(reference.selector)) {
      throw new ServiceError(
        "ParameterVersionNotFound",
        `Systems Manager could not find version ${reference.selector} of ${reference.name}. Verify the version and try again.`,
      );
    }
    if (exists && reference.selector) {
      throw new ServiceError(
        "ParameterVersionNotFound",
        `Systems Manager could not find label ${reference.selector} of ${reference.name}. Verify the label and try again.`,
      );
    }
    throw notFound(asked);
  }

  async getParameters(call: Call): Promise<Json> {
    const names = strings(call.input, "Names");
    if (names.length < 1) throw invalid("names", "Member must have length greater than or equal to 1");
    if (names.length > mostNames) throw invalid("names", `Member must have length less than or equal to ${mostNames}`);
    const references = [...new Set(names)].map((asked) => parseReference(call, asked) ?? asked);
    const wellFormed = references.filter((one) => typeof one !== "string");
    for (const reference of wellFormed) this.#check(call, reference);
    const found = await this.#find(call, wellFormed);
    const seen = new Set(found.map(([reference]) => reference.asked));
    return {
      Parameters: found
        .sort(([a], [b]) => byName(a, b) || byName({ name: a.selector ?? "" }, { name: b.selector ?? "" }))
        .map((one) => this.#wire(call, ...one)),
      InvalidParameters: names.filter((name) => !seen.has(name)),
    };
  }

  async getParametersByPath(call: Call): Promise<Json> {
    const asked = requiredString(call.input, "Path");
    const path = asked.length > 1 && asked.endsWith("/") ? asked.slice(0, -1) : asked;
    if (!path.startsWith("/") || (path !== "/" && nameProblem(call, path))) {
      throw new ServiceError(
        "ValidationException",
        `The parameter path "${asked}" is not a hierarchy that begins with "/".`,
      );
    }
    // IAM looks at the requested path alone: a parameter below it that is denied is given all the same.
    this.#denials.check(call, parameterArn(call, path));
    const filters = parseFilters("GetParametersByPath", call.input);
    const most = wholeNumber(call.input, "MaxResults", 1, 10, 10);
    const offset = pageOffset(call.input.NextToken);
    const store = this.#storeOf(`${path}/`);
    let versions = await store.under(call, path === "/" ? "/" : `${path}/`, call.input.Recursive === true);
    const label = filters.find(({ key }) => key === "Label");
    if (label) {
      const lookups = versions.flatMap(({ name }) => label.values.map((value) => `${name}:${value}`));
      versions = [...(await store.find(call, lookups)).values()];
    }
    const all = versions.filter((version) => passes(filters, version, new Map())).sort(byName);
    const page = all.slice(offset, offset + most);
    return {
      Parameters: page.map((version) =>
        this.#wire(call, { asked: version.name, scope: call, name: version.name }, version),
      ),
      ...(offset + most < all.length ? { NextToken: pageToken(offset + most) } : {}),
    };
  }

  #check(call: Call, { scope, name }: Reference): void {
    this.#denials.check(call, parameterArn(scope, name));
    if (name.startsWith(passThrough) && call.input.WithDecryption !== true) {
      throw new ServiceError(
        "ValidationException",
        "WithDecryption flag must be True for retrieving a Secret Manager secret.",
      );
    }
  }

  /** What exists of the references, in their order. */
  async #find(call: Call, references: readonly Reference[]): Promise<[Reference, Version][]> {
    const groups = new Map<string, Reference[]>();
    for (const reference of references) {
      const key = `${reference.scope.account}/${isAws(reference.name)}`;
      groups.set(key, [...(groups.get(key) ?? []), reference]);
    }
    const found = new Map<Reference, Version>();
    for (const group of groups.values()) {
      const { scope, name } = group[0]!;
      const versions = await this.#storeOf(name).find(scope, group.map(lookupOf));
      const shared = scope.account === call.account ? undefined : await this.#shared(group);
      for (const reference of group) {
        const version = versions.get(lookupOf(reference));
        if (version && (!shared || shared.has(reference.name))) found.set(reference, version);
      }
    }
    return references.filter((one) => found.has(one)).map((one) => [one, found.get(one)!]);
  }

  /** Only advanced parameters can be shared with other accounts; here every one of them is. */
  async #shared(group: readonly Reference[]): Promise<Set<string>> {
    const { scope } = group[0]!;
    const latest = await this.#storeOf(group[0]!.name).all(
      scope,
      group.map(({ name }) => name),
    );
    return new Set(latest.filter(({ tier }) => tier === "Advanced").map(({ name }) => name));
  }

  #wire(call: Call, { scope, selector }: Reference, version: Version): Json {
    const { name, type, value } = version;
    const sealed = type === "SecureString" && !version.plain;
    return {
      Name: name,
      Type: type,
      Value: sealed && call.input.WithDecryption === true ? this.#secure.decrypt(call, scope, name, value) : value,
      Version: version.version,
      LastModifiedDate: version.modified / 1000,
      ARN: parameterArn(scope, name),
      DataType: version.dataType,
      ...(selector === undefined ? {} : { Selector: `:${selector}` }),
      ...(version.sourceResult === undefined ? {} : { SourceResult: version.sourceResult }),
    };
  }
}

function lookupOf({ name, selector }: Reference): Lookup {
  return selector === undefined ? name : `${name}:${selector}`;
}
