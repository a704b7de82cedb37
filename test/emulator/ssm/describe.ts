import { type Call, parameterArn } from "../call.ts";
import type { Denials } from "../denials.ts";
import { pageOffset, pageToken } from "../faults.ts";
import { type Json, ServiceError } from "../http.ts";
import { objects, optionalString, requiredString, strings, wholeNumber } from "../input.ts";
import { parseFilters, passes } from "./filters.ts";
import { byName } from "./names.ts";
import { inlinePolicies } from "./policies.ts";
import type { Secure } from "./secure.ts";
import { notFound, type Store, type Version } from "./store.ts";

/** What tells of parameters: DescribeParameters, GetParameterHistory, tags. */
export class Descriptions {
  #store: Store;
  #secure: Secure;
  #denials: Denials;

  constructor(store: Store, secure: Secure, denials: Denials) {
    this.#store = store;
    this.#secure = secure;
    this.#denials = denials;
  }

  async describeParameters(call: Call): Promise<Json> {
    // The action has no resource: whoever may describe one parameter may describe all.
    this.#denials.check(call, "*");
    const filters = parseFilters("DescribeParameters", call.input);
    const most = wholeNumber(call.input, "MaxResults", 1, 50, 10);
    const offset = pageOffset(call.input.NextToken);
    const exact = filters.find(({ key, option }) => key === "Name" && option === "Equals")?.values;
    const byTag = filters.some(({ key }) => key.startsWith("tag:"));
    const all: Version[] = [];
    for (const version of await this.#store.all(call, exact)) {
      const tags = byTag ? await this.#store.tags(call, version.name) : new Map<string, string>();
      if (passes(filters, version, tags)) all.push(version);
    }
    const page = all.sort(byName).slice(offset, offset + most);
    return {
      Parameters: page.map((version) => ({ ...this.#wire(call, version), ARN: parameterArn(call, version.name) })),
      ...(offset + most < all.length ? { NextToken: pageToken(offset + most) } : {}),
    };
  }

  async getParameterHistory(call: Call): Promise<Json> {
    const name = requiredString(call.input, "Name");
    this.#denials.check(call, parameterArn(call, name));
    const history = await this.#store.history(call, name);
    if (history.length === 0) throw notFound(name);
    const most = wholeNumber(call.input, "MaxResults", 1, 50, 50);
    const offset = pageOffset(call.input.NextToken);
    return {
      Parameters: history.slice(offset, offset + most).map((version) => ({
        ...this.#wire(call, version),
        Value:
          version.type === "SecureString" && call.input.WithDecryption === true
            ? this.#secure.decrypt(call, call, name, version.value)
            : version.value,
        Labels: version.labels,
      })),
      ...(offset + most < history.length ? { NextToken: pageToken(offset + most) } : {}),
    };
  }

  async listTagsForResource(call: Call): Promise<Json> {
    const tags = await this.#store.tags(call, await this.#tagged(call));
    return { TagList: [...tags].map(([Key, Value]) => ({ Key, Value })) };
  }

  async addTagsToResource(call: Call): Promise<Json> {
    const name = await this.#tagged(call);
    const tags = objects(call.input, "Tags");
    const added = new Map(tags.map((tag) => [requiredString(tag, "Key"), optionalString(tag, "Value") ?? ""]));
    await this.#store.setTags(call, name, added);
    return {};
  }

  async removeTagsFromResource(call: Call): Promise<Json> {
    await this.#store.removeTags(call, await this.#tagged(call), strings(call.input, "TagKeys"));
    return {};
  }

  /** The name of the parameter whose tags are meant. @throws ServiceError InvalidResourceId */
  async #tagged(call: Call): Promise<string> {
    const name = requiredString(call.input, "ResourceId");
    this.#denials.check(call, parameterArn(call, name));
    if ((await this.#store.all(call, [name])).length > 0) return name;
    throw new ServiceError(
      "InvalidResourceId",
      "The resource ID isn't valid. Verify that you entered the correct ID and try again.",
    );
  }

  #wire(call: Call, version: Version): Json {
    return {
      Name: version.name,
      Type: version.type,
      LastModifiedDate: version.modified / 1000,
      LastModifiedUser: call.arn,
      Version: version.version,
      Tier: version.tier,
      DataType: version.dataType,
      Policies: inlinePolicies(version.policies),
      ...(version.keyId === undefined ? {} : { KeyId: version.keyId }),
      ...(version.description === undefined ? {} : { Description: version.description }),
      ...(version.allowedPattern === undefined ? {} : { AllowedPattern: version.allowedPattern }),
    };
  }
}
