import type { Scope } from "../call.ts";
import { type Json, ServiceError } from "../http.ts";
import { type Moto, motoHeaders } from "../moto.ts";
import type { Lookup, NewVersion, Store, Version } from "./store.ts";

const namesACall = 10;
const secretsPath = "/aws/reference/secretsmanager/";

/**
 * Keeps parameters in moto. A SecureString's value there is the door's own ciphertext, around which moto puts
 * `kms:KEY:` on its way out.
 */
export class MotoStore implements Store {
  #moto: () => Promise<Moto>;
  /** moto gives policies back in Python's notation: the latest ones of each parameter are remembered here. */
  #policies = new Map<string, string | undefined>();

  constructor(moto: () => Promise<Moto>) {
    this.#moto = moto;
  }

  async put(scope: Scope, next: NewVersion, overwrite: boolean): Promise<number> {
    const answer = await this.#call(scope, "PutParameter", {
      Name: next.name,
      Value: next.value,
      Type: next.type,
      KeyId: next.keyId,
      DataType: next.dataType,
      Tier: next.tier,
      Description: next.description,
      AllowedPattern: next.allowedPattern,
      Policies: next.policies,
      Overwrite: overwrite,
    });
    this.#policies.set(placeOf(scope, next.name), next.policies);
    return answer.Version as number;
  }

  async find(scope: Scope, lookups: readonly Lookup[]): Promise<Map<Lookup, Version>> {
    const found = new Map<Lookup, Version>();
    // moto leaves the selector out of its answers, so one call must not ask for one name twice.
    const left = new Set(lookups);
    while (left.size > 0) {
      const batch = new Map<string, Lookup>();
      for (const lookup of left) {
        const name = lookup.split(":")[0]!;
        if (batch.size < namesACall && !batch.has(name)) batch.set(name, lookup);
      }
      for (const lookup of batch.values()) left.delete(lookup);
      const passed = [...batch.keys()].some((name) => name.startsWith("/aws/"));
      const secrets = [...batch.values()].filter((lookup) => lookup.startsWith(secretsPath));
      const Names = [...batch.values()].filter((lookup) => !lookup.startsWith(secretsPath));
      const many = Names.length > 0 ? await this.#call(scope, "GetParameters", { Names, WithDecryption: passed }) : {};
      const Parameters = (many.Parameters as Json[] | undefined) ?? [];
      for (const Name of secrets) Parameters.push(...(await this.#secret(scope, Name)));
      for (const version of versions({ Parameters }, passed)) {
        found.set(batch.get(version.name) ?? version.name, version);
      }
    }
    return found;
  }

  async under(scope: Scope, path: string, recursive: boolean): Promise<Version[]> {
    return this.#pages(scope, "GetParametersByPath", { Path: path, Recursive: recursive, MaxResults: namesACall });
  }

  async all(scope: Scope, names?: readonly string[]): Promise<Version[]> {
    const filters = names ? [{ Key: "Name", Option: "Equals", Values: names }] : [];
    const all = await this.#pages(scope, "DescribeParameters", { ParameterFilters: filters });
    // To moto's filter a name with and one without the slash in front are the same.
    const wanted = names ? all.filter(({ name }) => names.includes(name)) : all;
    return wanted.map((one) => ({ ...one, policies: this.#policies.get(placeOf(scope, one.name)) }));
  }

  async history(scope: Scope, name: string): Promise<Version[]> {
    try {
      return await this.#pages(scope, "GetParameterHistory", { Name: name, MaxResults: 50 });
    } catch (error) {
      if (error instanceof ServiceError && error.code === "ParameterNotFound") return [];
      throw error;
    }
  }

  async remove(scope: Scope, name: string): Promise<boolean> {
    this.#policies.delete(placeOf(scope, name));
    const answer = await this.#call(scope, "DeleteParameters", { Names: [name] });
    return (answer.DeletedParameters as unknown[]).length > 0;
  }

  async label(scope: Scope, name: string, version: number, labels: readonly string[]): Promise<string[]> {
    const asked = { Name: name, ParameterVersion: version, Labels: labels };
    return (await this.#call(scope, "LabelParameterVersion", asked)).InvalidLabels as string[];
  }

  async unlabel(scope: Scope, name: string, version: number, labels: readonly string[]): Promise<string[]> {
    const asked = { Name: name, ParameterVersion: version, Labels: labels };
    return (await this.#call(scope, "UnlabelParameterVersion", asked)).RemovedLabels as string[];
  }

  async tags(scope: Scope, name: string): Promise<Map<string, string>> {
    const answer = await this.#call(scope, "ListTagsForResource", { ResourceType: "Parameter", ResourceId: name });
    return new Map((answer.TagList as { Key: string; Value: string }[]).map(({ Key, Value }) => [Key, Value]));
  }

  async setTags(scope: Scope, name: string, tags: ReadonlyMap<string, string>): Promise<void> {
    const list = [...tags].map(([Key, Value]) => ({ Key, Value }));
    await this.#call(scope, "AddTagsToResource", { ResourceType: "Parameter", ResourceId: name, Tags: list });
  }

  async removeTags(scope: Scope, name: string, keys: readonly string[]): Promise<void> {
    await this.#call(scope, "RemoveTagsFromResource", { ResourceType: "Parameter", ResourceId: name, TagKeys: keys });
  }

  /** moto passes GetParameter through to Secrets Manager, and GetParameters not. */
  async #secret(scope: Scope, Name: string): Promise<Json[]> {
    try {
      const { Parameter } = await this.#call(scope, "GetParameter", { Name, WithDecryption: true });
      // moto answers with the secret's own name.
      return [{ ...(Parameter as Json), Name: Name.split(":")[0] }];
    } catch (error) {
      if (error instanceof ServiceError && error.code === "ParameterNotFound") return [];
      throw error;
    }
  }

  async #pages(scope: Scope, operation: string, input: Json): Promise<Version[]> {
    const all: Version[] = [];
    let token: unknown;
    do {
      const answer = await this.#call(scope, operation, { ...input, NextToken: token });
      all.push(...versions(answer, String(input.Path ?? "").startsWith("/aws/")));
      token = answer.NextToken;
    } while (token);
    return all;
  }

  async #call(scope: Scope, operation: string, input: Json): Promise<Json> {
    const headers = motoHeaders(scope, "ssm", `AmazonSSM.${operation}`, "1.1");
    const moto = await this.#moto();
    const reply = await moto.send("POST", "/", headers, Buffer.from(JSON.stringify(input)));
    const answer = (reply.body.length > 0 ? JSON.parse(reply.body.toString()) : {}) as Json;
    if (reply.status === 200) return answer;
    const code = String(answer.__type ?? "InternalServerError");
    throw new ServiceError(
      code.slice(code.indexOf("#") + 1),
      String(answer.message ?? answer.Message ?? ""),
      reply.status,
    );
  }
}

/** The parameters of an answer of moto; `plain` for what it decrypts itself. */
function versions(answer: Json, plain: boolean): Version[] {
  return (answer.Parameters as Json[]).map((one) => {
    const type = String(one.Type);
    // DescribeParameters gives none, but the key.
    const value = String(one.Value ?? "");
    const secure = type === "SecureString" && !plain;
    // A key's ARN has colons; base64 has none.
    const end = secure ? value.lastIndexOf(":") : -1;
    return {
      name: String(one.Name),
      version: Number(one.Version),
      type,
      value: value.slice(end + 1),
      plain,
      keyId: secure ? String(one.KeyId ?? value.slice("kms:".length, end)) : undefined,
      modified: Number(one.LastModifiedDate) * 1000,
      dataType: String(one.DataType ?? "text"),
      tier: String(one.Tier ?? "Standard"),
      labels: (one.Labels as string[] | undefined) ?? [],
      description: one.Description as string | undefined,
      allowedPattern: one.AllowedPattern as string | undefined,
      sourceResult: one.SourceResult === undefined ? undefined : secretValue(one.SourceResult, value),
    };
  });
}

function placeOf({ account, region }: Scope, name: string): string {
  return `${account}/${region}/${name}`;
}

/** Where moto tells of the secret, AWS gives GetSecretValue's answer (User Guide, "Referencing AWS Secrets Manager"). */
function secretValue(told: unknown, SecretString: string): string {
  const { ARN, Name, CreatedDate, VersionIdsToStages } = (typeof told === "string" ? JSON.parse(told) : told) as Json;
  const stages = Object.entries(VersionIdsToStages as Record<string, string[]>);
  const [VersionId, VersionStages] = stages.find(([, names]) => names.includes("AWSCURRENT")) ?? [];
  return JSON.stringify({ ARN, Name, VersionId, SecretString, VersionStages, CreatedDate });
}
