import { type Call, parameterArn, type Scope } from "../call.ts";
import type { Denials } from "../denials.ts";
import type { Events } from "../events.ts";
import { type Json, ServiceError } from "../http.ts";
import { invalid, objects, optionalString, requiredString, strings } from "../input.ts";
import { nameProblem, reservedProblem } from "./names.ts";
import { type Policy, type PolicyTimer, parsePolicies } from "./policies.ts";
import type { Secure } from "./secure.ts";
import { notFound, type Store, type Version } from "./store.ts";

/** The longest values, in bytes (PutParameter, Value). */
const longestStandard = 4096;
const longestAdvanced = 8192;
const types = ["String", "StringList", "SecureString"];
const tiers = ["Standard", "Advanced", "Intelligent-Tiering"];

interface Parts {
  store: Store;
  secure: Secure;
  denials: Denials;
  events: Events;
  now: () => number;
}

/** What changes parameters. Every change that succeeds is told to `events`. */
export class Writes {
  #store: Store;
  #secure: Secure;
  #denials: Denials;
  #events: Events;
  #now: () => number;
  #policies: () => PolicyTimer;

  constructor({ store, secure, denials, events, now }: Parts, policies: () => PolicyTimer) {
    this.#store = store;
    this.#secure = secure;
    this.#denials = denials;
    this.#events = events;
    this.#now = now;
    this.#policies = policies;
  }

  async putParameter(call: Call): Promise<Json> {
    const { input } = call;
    const name = requiredString(input, "Name");
    const problem = reservedProblem(name) ?? nameProblem(call, name);
    if (problem) throw problem;
    this.#denials.check(call, parameterArn(call, name));
    const overwrite = input.Overwrite === true;
    const tags = new Map(
      objects(input, "Tags").map((tag) => [requiredString(tag, "Key"), optionalString(tag, "Value") ?? ""]),
    );
    if (overwrite && tags.size > 0) {
      throw new ServiceError("ValidationException", "Invalid request: tags and overwrite can't be used together.");
    }
    const before = (await this.#store.all(call, [name]))[0];
    if (before && !overwrite) {
      throw new ServiceError(
        "ParameterAlreadyExists",
        "The parameter already exists. To overwrite this value, set the overwrite option in the request to true.",
      );
    }
    const type = typeOf(input, before);
    const value = requiredString(input, "Value");
    const policies = optionalString(input, "Policies") ?? before?.policies;
    const parsed = parsePolicies(policies);
    const tier = tierOf(input, before, Buffer.byteLength(value), parsed.length > 0);
    const allowedPattern = optionalString(input, "AllowedPattern") ?? before?.allowedPattern;
    fitsPattern(allowedPattern, value);
    const keyId =
      type === "SecureString" ? (optionalString(input, "KeyId") ?? before?.keyId ?? "alias/aws/ssm") : undefined;
    const description = optionalString(input, "Description") ?? before?.description;
    const version = await this.#store.put(
      call,
      {
        name,
        type,
        value: keyId === undefined ? value : this.#secure.encrypt(call, call, name, keyId, value),
        keyId,
        dataType: optionalString(input, "DataType") ?? before?.dataType ?? "text",
        tier,
        description,
        allowedPattern,
        policies: parsed.length > 0 ? policies : undefined,
      },
      overwrite,
    );
    if (tags.size > 0) await this.#store.setTags(call, name, tags);
    this.#policies().set({ account: call.account, region: call.region }, name, parsed, this.#now());
    this.#events.changed(call, { operation: before ? "Update" : "Create", name, type, description });
    return { Version: version, Tier: tier };
  }

  async deleteParameter(call: Call): Promise<Json> {
    const name = requiredString(call.input, "Name");
    this.#denials.check(call, parameterArn(call, name));
    if (!(await this.remove(call, name))) throw notFound(name);
    return {};
  }

  async deleteParameters(call: Call): Promise<Json> {
    const names = strings(call.input, "Names");
    if (names.length < 1 || names.length > 10) throw invalid("names", "Member must have length between 1 and 10");
    for (const name of names) this.#denials.check(call, parameterArn(call, name));
    const deleted: string[] = [];
    for (const name of names) if (await this.remove(call, name)) deleted.push(name);
    return { DeletedParameters: deleted, InvalidParameters: names.filter((name) => !deleted.includes(name)) };
  }

  async labelParameterVersion(call: Call): Promise<Json> {
    const { name, latest, version } = await this.#version(call);
    const labels = labelsOf(call.input);
    const rejected = await this.#store.label(call, name, version, labels);
    if (rejected.length < labels.length) {
      const { type, description } = latest;
      this.#events.changed(call, { operation: "LabelParameterVersion", name, type, description });
    }
    return { InvalidLabels: rejected, ParameterVersion: version };
  }

  async unlabelParameterVersion(call: Call): Promise<Json> {
    const { name, version } = await this.#version(call);
    const labels = labelsOf(call.input);
    const removed = await this.#store.unlabel(call, name, version, labels);
    return { RemovedLabels: removed, InvalidLabels: labels.filter((label) => !removed.includes(label)) };
  }

  /** What a parameter policy does at its instant. */
  async act(scope: Scope, name: string, policy: Policy): Promise<void> {
    const [latest] = await this.#store.all(scope, [name]);
    if (!latest) return;
    this.#events.policyActed(scope, name, latest.type, policy.type);
    if (policy.type === "Expiration") await this.remove(scope, name);
  }

  /** @returns whether there was something to delete */
  async remove(scope: Scope, name: string): Promise<boolean> {
    const [latest] = await this.#store.all(scope, [name]);
    if (!latest || !(await this.#store.remove(scope, name))) return false;
    this.#policies().forget(scope, name);
    const { type, description } = latest;
    this.#events.changed(scope, { operation: "Delete", name, type, description });
    return true;
  }

  async #version(call: Call): Promise<{ name: string; latest: Version; version: number }> {
    const name = requiredString(call.input, "Name");
    this.#denials.check(call, parameterArn(call, name));
    const history = await this.#store.history(call, name);
    const latest = history.at(-1);
    if (!latest) throw notFound(name);
    const version = Number(call.input.ParameterVersion ?? latest.version);
    if (!history.some((one) => one.version === version)) {
      throw new ServiceError(
        "ParameterVersionNotFound",
        `Systems Manager could not find version ${version} of ${name}. Verify the version and try again.`,
      );
    }
    return { name, latest, version };
  }
}

function typeOf(input: Json, before: Version | undefined): string {
  const type = optionalString(input, "Type") ?? before?.type;
  if (type === undefined) {
    throw new ServiceError("ValidationException", "A parameter type is required when you create a parameter.");
  }
  if (!types.includes(type)) throw invalid("type", `Member must satisfy enum value set: [${types.join(", ")}]`);
  if (before && before.type !== type) {
    throw new ServiceError(
      "HierarchyTypeMismatchException",
      `The parameter is of type ${before.type}: delete it first`,
    );
  }
  return type;
}

/** The tier that a value ends up in. */
function tierOf(input: Json, before: Version | undefined, bytes: number, hasPolicies: boolean): string {
  const asked = optionalString(input, "Tier") ?? before?.tier ?? "Standard";
  if (!tiers.includes(asked)) throw invalid("tier", `Member must satisfy enum value set: [${tiers.join(", ")}]`);
  const advanced = bytes > longestStandard || hasPolicies || before?.tier === "Advanced";
  const tier = asked === "Intelligent-Tiering" ? (advanced ? "Advanced" : "Standard") : asked;
  if (bytes > longestAdvanced) {
    throw new ServiceError(
      "ValidationException",
      "Advanced tier parameters support a maximum parameter value of 8192 characters.",
    );
  }
  if (tier === "Advanced") return tier;
  if (bytes > longestStandard) {
    throw new ServiceError(
      "ValidationException",
      "Standard tier parameters support a maximum parameter value of 4096 characters. To create a larger parameter value, upgrade the parameter to use the advanced-parameter tier.",
    );
  }
  if (hasPolicies)
    throw new ServiceError("ValidationException", "Parameter policies need the advanced-parameter tier.");
  if (before?.tier === "Advanced") {
    throw new ServiceError(
      "ValidationException",
      "This parameter uses the advanced-parameter tier. You can't downgrade a parameter from the advanced-parameter tier to the standard-parameter tier.",
    );
  }
  return tier;
}

function fitsPattern(pattern: string | undefined, value: string): void {
  if (pattern === undefined || pattern === "") return;
  let expression: RegExp;
  try {
    expression = new RegExp(`^(?:${pattern})$`);
  } catch {
    throw new ServiceError("InvalidAllowedPatternException", "The AllowedPattern is not a regular expression.");
  }
  if (!expression.test(value)) {
    throw new ServiceError(
      "ParameterPatternMismatchException",
      `Parameter value, cannot be validated against allowedPattern: ${pattern}`,
    );
  }
}

function labelsOf(input: Json): string[] {
  const labels = strings(input, "Labels");
  if (labels.length < 1 || labels.length > 10 || labels.some((label) => label.length < 1 || label.length > 100)) {
    throw invalid("labels", "1 to 10 labels of 1 to 100 characters");
  }
  return labels;
}
