import type { Identity } from "../../src/aws/identity.ts";
import { kmsPort } from "../../src/aws/kms.ts";
import { type ParameterRecord, type SsmCalls, ssmPort } from "../../src/aws/ssm.ts";
import { Failure } from "../../src/runtime/failure.ts";
import { Sealed } from "../../src/runtime/sealed.ts";

const noQueue = async () => {
  throw new Failure("QueueNotFound", "wait", "there is no SQS here");
};

interface Stored {
  versions: Map<number, { value: string; modified: number }>;
  labels: Map<string, number>;
  latest: number;
  /** PolicyText of each policy; a new version keeps them. */
  policies: string[];
  tags: Map<string, string>;
  type: ParameterRecord["type"];
}

export interface Call {
  operation: "GetParameter" | "GetParameters" | "GetParametersByPath";
  names: string[];
  decrypt: boolean;
}

/**
 * An in-memory Parameter Store for tests with a fake clock. `test/parameters/fake-aws.test.ts` compares it with the
 * emulator.
 */
export class FakeAws {
  readonly parameters = new Map<string, Stored>();
  readonly calls: Call[] = [];
  /** The names, or the path, of each DescribeParameters call. */
  readonly descriptions: string[][] = [];
  /** Called before each DescribeParameters answer; an error that it throws is the answer. */
  describeFault: (() => void | Promise<void>) | undefined;
  /** Called before each answer; an error that it throws is the answer. */
  fault: ((call: Call) => void | Promise<void>) | undefined;
  /** Parameters in one page of a listing. */
  pageSize = 10;
  readonly #now: () => number;

  constructor(now: () => number) {
    this.#now = now;
  }

  put(name: string, value: string, type: ParameterRecord["type"] = "SecureString"): number {
    const stored = this.parameters.get(name) ?? {
      versions: new Map(),
      labels: new Map(),
      latest: 0,
      policies: [],
      tags: new Map(),
      type,
    };
    stored.latest += 1;
    stored.versions.set(stored.latest, { value, modified: this.#now() });
    this.parameters.set(name, stored);
    return stored.latest;
  }

  /** Replaces a parameter's policies; a string is used as it is, an object as JSON. */
  policies(name: string, ...policies: (object | string)[]): void {
    this.parameters.get(name)!.policies = policies.map((one) => (typeof one === "string" ? one : JSON.stringify(one)));
  }

  label(name: string, label: string, version: number): void {
    this.parameters.get(name)!.labels.set(label, version);
  }

  delete(name: string): void {
    this.parameters.delete(name);
  }

  count(operation: Call["operation"], decrypt?: boolean): number {
    return this.calls.filter((c) => c.operation === operation && (decrypt === undefined || c.decrypt === decrypt))
      .length;
  }

  /** The calls to this Parameter Store. */
  ssm(region = "eu-west-1", account = "123456789012"): SsmCalls {
    const look = (asked: string, decrypt: boolean): ParameterRecord | "ParameterNotFound" | "VersionNotFound" => {
      const [name = "", selector] = asked.split(":");
      const stored = this.parameters.get(name);
      if (!stored) return "ParameterNotFound";
      const isNumber = selector !== undefined && /^[0-9]+$/.test(selector);
      const version =
        selector === undefined ? stored.latest : isNumber ? Number(selector) : (stored.labels.get(selector) ?? 0);
      const found = stored.versions.get(version);
      if (!found) return "VersionNotFound";
      return {
        name,
        selector: selector === undefined ? undefined : `:${selector}`,
        arn: `arn:aws:ssm:${region}:${account}:parameter${name.startsWith("/") ? "" : "/"}${name}`,
        type: stored.type,
        version,
        modified: found.modified,
        value: decrypt ? Sealed.text(found.value) : undefined,
        ...(decrypt ? { requestId: this.#requestId() } : {}),
      };
    };
    const answer = async (call: Call) => {
      this.calls.push(call);
      await this.fault?.(call);
    };
    return {
      getParameters: async (names, { decrypt }) => {
        await answer({ operation: "GetParameters", names: [...names], decrypt });
        const found: ParameterRecord[] = [];
        const invalid: string[] = [];
        for (const name of names) {
          const record = look(name, decrypt);
          if (typeof record === "string") invalid.push(name);
          else found.push(record);
        }
        return { found: found.sort((a, b) => (a.name < b.name ? -1 : 1)), invalid, requestId: this.#requestId() };
      },
      getParameter: async (name, { decrypt }) => {
        await answer({ operation: "GetParameter", names: [name], decrypt });
        const record = look(name, decrypt);
        if (typeof record === "string") throw new Failure(record, "wait", `no such parameter: ${name}`);
        return record;
      },
      getParametersByPath: async ({ path, recursive, decrypt, label, types, nextToken }) => {
        await answer({ operation: "GetParametersByPath", names: [path], decrypt });
        const prefix = path.endsWith("/") ? path : `${path}/`;
        const all: ParameterRecord[] = [];
        for (const name of [...this.parameters.keys()].sort()) {
          if (!name.startsWith(prefix) || (!recursive && name.slice(prefix.length).includes("/"))) continue;
          const record = look(label === undefined ? name : `${name}:${label}`, decrypt);
          if (typeof record !== "string" && (!types || types.includes(record.type))) all.push(record);
        }
        const start = nextToken === undefined ? 0 : Number(nextToken);
        const end = start + this.pageSize;
        return { found: all.slice(start, end), ...(end < all.length ? { nextToken: String(end) } : {}) };
      },
      describeParameters: async ({ names, path, tags = [], types = [] }) => {
        this.descriptions.push([...(names ?? [path!.name])]);
        await this.describeFault?.();
        const isMeant = (name: string, stored: Stored) =>
          (!names || names.includes(name)) &&
          (!path || isBelow(name, path)) &&
          (types.length === 0 || types.includes(stored.type)) &&
          tags.every(([key, value]) => stored.tags.get(key) === value);
        const found = [...this.parameters].filter(([name, stored]) => isMeant(name, stored));
        return {
          found: found.map(([name, { latest, versions, policies, type }]) => ({
            name,
            arn: `arn:aws:ssm:${region}:${account}:parameter${name.startsWith("/") ? "" : "/"}${name}`,
            version: latest,
            modified: versions.get(latest)!.modified,
            keyId: type === "SecureString" ? "alias/aws/ssm" : undefined,
            policies,
          })),
        };
      },
    };
  }

  identity(key = "identity", region = "eu-west-1", account = "123456789012"): Identity {
    return {
      key,
      region,
      caller: async () => ({ account, arn: `arn:aws:iam::${account}:user/test` }),
      ssm: ssmPort(this.ssm(region, account)),
      kms: kmsPort({
        decrypt: async () => {
          throw new Failure("DecryptFailed", "stalled", "there is no KMS here");
        },
        describeKey: async () => {
          throw new Failure("KeyUnavailable", "wait", "there is no KMS here");
        },
      }),
      sqs: {
        receive: noQueue,
        remove: noQueue,
        hide: noQueue,
        tags: noQueue,
      },
    };
  }

  /** The request id of the last call. */
  #requestId(): string {
    return `request-${this.calls.length}`;
  }
}

function isBelow(name: string, { name: path, recursive }: { name: string; recursive: boolean }): boolean {
  const prefix = path.endsWith("/") ? path : `${path}/`;
  return name.startsWith(prefix) && (recursive || !name.slice(prefix.length).includes("/"));
}
