import type { Clock } from "../../../src/runtime/clock.ts";
import type { Scope } from "../call.ts";
import { ServiceError } from "../http.ts";
import type { Lookup, NewVersion, Store, Version } from "./store.ts";

/** How many versions are kept (User Guide, "Working with parameter versions"). */
const mostVersions = 100;
const mostLabels = 10;

interface Parameter {
  /** Oldest first; never empty. */
  versions: Version[];
  tags: Map<string, string>;
}

/** Keeps parameters in this process. */
export class MemoryStore implements Store {
  #scopes = new Map<string, Map<string, Parameter>>();
  #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  async put(scope: Scope, next: NewVersion): Promise<number> {
    const parameters = this.#in(scope);
    const parameter = parameters.get(next.name) ?? { versions: [] as Version[], tags: new Map<string, string>() };
    const { versions } = parameter;
    if (versions.length >= mostVersions) {
      if (versions[0]!.labels.length > 0) {
        throw new ServiceError(
          "ParameterMaxVersionLimitExceeded",
          `Version ${versions[0]!.version}, the oldest version, can't be deleted because it has a label associated with it.`,
        );
      }
      versions.shift();
    }
    const version = (versions.at(-1)?.version ?? 0) + 1;
    versions.push({ ...next, version, modified: this.#clock.now(), labels: [] });
    parameters.set(next.name, parameter);
    return version;
  }

  async find(scope: Scope, lookups: readonly Lookup[]): Promise<Map<Lookup, Version>> {
    const found = new Map<Lookup, Version>();
    for (const lookup of lookups) {
      const [name, selector] = lookup.split(":") as [string, string?];
      const versions = this.#in(scope).get(name)?.versions;
      const version =
        selector === undefined
          ? versions?.at(-1)
          : versions?.find((one) =>
              /^\d+$/.test(selector) ? one.version === Number(selector) : one.labels.includes(selector),
            );
      if (version) found.set(lookup, version);
    }
    return found;
  }

  async under(scope: Scope, path: string, recursive: boolean): Promise<Version[]> {
    const all = await this.all(scope);
    return all.filter(({ name }) => name.startsWith(path) && (recursive || !name.slice(path.length).includes("/")));
  }

  async all(scope: Scope, names?: readonly string[]): Promise<Version[]> {
    const parameters = this.#in(scope);
    const wanted = names ? names.map((name) => parameters.get(name)) : [...parameters.values()];
    return wanted.filter((one) => one !== undefined).map((one) => one.versions.at(-1)!);
  }

  async history(scope: Scope, name: string): Promise<Version[]> {
    return this.#in(scope).get(name)?.versions ?? [];
  }

  async remove(scope: Scope, name: string): Promise<boolean> {
    return this.#in(scope).delete(name);
  }

  async label(scope: Scope, name: string, version: number, labels: readonly string[]): Promise<string[]> {
    const versions = await this.history(scope, name);
    const invalid = labels.filter((label) => !/^(?!aws|ssm|\d)[a-zA-Z0-9_.-]{1,100}$/i.test(label));
    const valid = labels.filter((label) => !invalid.includes(label));
    const target = versions.find((one) => one.version === version)!;
    if (new Set([...target.labels, ...valid]).size > mostLabels) {
      throw new ServiceError(
        "ParameterVersionLabelLimitExceeded",
        "A parameter version can have a maximum of ten labels.",
      );
    }
    for (const one of versions) one.labels = one.labels.filter((label) => !valid.includes(label));
    target.labels.push(...valid);
    return invalid;
  }

  async unlabel(scope: Scope, name: string, version: number, labels: readonly string[]): Promise<string[]> {
    const target = (await this.history(scope, name)).find((one) => one.version === version)!;
    const removed = labels.filter((label) => target.labels.includes(label));
    target.labels = target.labels.filter((label) => !removed.includes(label));
    return removed;
  }

  async tags(scope: Scope, name: string): Promise<Map<string, string>> {
    return this.#in(scope).get(name)?.tags ?? new Map();
  }

  async setTags(scope: Scope, name: string, tags: ReadonlyMap<string, string>): Promise<void> {
    for (const [key, value] of tags) this.#in(scope).get(name)?.tags.set(key, value);
  }

  async removeTags(scope: Scope, name: string, keys: readonly string[]): Promise<void> {
    for (const key of keys) this.#in(scope).get(name)?.tags.delete(key);
  }

  #in({ account, region }: Scope): Map<string, Parameter> {
    const key = `${account}/${region}`;
    const parameters = this.#scopes.get(key) ?? new Map<string, Parameter>();
    this.#scopes.set(key, parameters);
    return parameters;
  }
}
