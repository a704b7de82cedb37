import {
  DescribeParametersCommand,
  GetParameterCommand,
  GetParametersByPathCommand,
  GetParametersCommand,
  type Parameter,
  type ParameterMetadata,
  type ParameterStringFilter,
} from "@aws-sdk/client-ssm";
import { Sealed } from "../runtime/sealed.ts";
import type { SendCall } from "./calls.ts";
import { invalidAnswer, requestIdOf } from "./classify.ts";
import { AwsFailure, type CallContext } from "./failure.ts";
import type { Permit } from "./ratelimit/limiter.ts";

export type ParameterType = "String" | "StringList" | "SecureString";

/** One version of a parameter. */
export interface ParameterRecord {
  /** As AWS returns it: the name, or the ARN for another account's parameter. */
  name: string;
  /** `:3` or `:prod`, as AWS returns it; undefined if the request had no selector. */
  selector: string | undefined;
  arn: string;
  type: ParameterType;
  /** Starts at 1, also after a deletion; 0 for a reference to Secrets Manager. */
  version: number;
  /** LastModifiedDate, milliseconds since the epoch. */
  modified: number;
  /** Undefined without decryption, for every type. */
  value: Sealed | undefined;
  /** AWS request id of the decryption. */
  requestId?: string | undefined;
  /** Version id of a Secrets Manager secret, whose `version` is 0. */
  versionId?: string;
}

/** What DescribeParameters returns for the latest version of a parameter. */
export interface ParameterDescription {
  name: string;
  /** Undefined if AWS omits it. */
  arn: string | undefined;
  version: number;
  /** LastModifiedDate, milliseconds since the epoch. */
  modified: number;
  /** The key of a SecureString, as named in PutParameter. */
  keyId: string | undefined;
  /** JSON of at most ten policies; written by the parameter's owner and not validated here. */
  policies: readonly string[];
}

/** A request for one page of `describeParameters`. */
export interface DescribeQuery {
  /** At most 50 exact names. */
  names?: readonly string[];
  /** Only parameters below a path. */
  path?: { name: string; recursive: boolean };
  /** Only parameters with all of these tags and values. */
  tags?: readonly (readonly [string, string])[];
  /** Only these types; default all. */
  types?: readonly string[];
  /** From the previous page. */
  nextToken?: string;
  signal?: AbortSignal;
}

/** One page of descriptions. */
export interface DescribePage {
  found: ParameterDescription[];
  nextToken?: string;
  clockAheadMs?: number;
}

export interface ReadOptions {
  /** If false, no KMS key is used and no value is returned. */
  decrypt: boolean;
  signal?: AbortSignal;
}

/** A request for one page of `getParametersByPath`. */
export interface PathQuery extends ReadOptions {
  /** Begins with a slash. */
  path: string;
  recursive: boolean;
  /** Only versions with this label. */
  label?: string;
  /** Only these types; default all. */
  types?: readonly string[];
  /** From the previous page. */
  nextToken?: string;
}

/**
 * Parameter Store reads by one identity, without a quota: only `ssmPort` may use them. Every method rejects only with an
 * AwsFailure.
 */
export interface SsmCalls {
  /**
   * @param names 1 to 10, distinct; each may carry a selector (`/a:3`) or be an ARN
   * @returns `found`, AWS's answer in undefined order: the caller drops parameters that it did not request; `invalid`,
   *   the names that are malformed or do not exist in this version or label
   */
  getParameters(
    names: readonly string[],
    options: ReadOptions,
  ): Promise<{ found: ParameterRecord[]; invalid: string[]; requestId?: string }>;
  /**
   * @returns AWS's answer: the caller drops a parameter that it did not request
   * @throws AwsFailure with code `ParameterNotFound` or `ParameterVersionNotFound` if it does not exist
   */
  getParameter(name: string, options: ReadOptions): Promise<ParameterRecord>;
  /** One page of at most ten. A page may be empty and still carry a token. */
  getParametersByPath(query: PathQuery): Promise<{ found: ParameterRecord[]; nextToken?: string }>;
  /**
   * One page of at most 50, in undefined order. Malformed descriptions are dropped. The operation has its own rate
   * limit. IAM does not support resources for it: the permission covers every parameter.
   *
   * @returns `clockAheadMs`, milliseconds that AWS's clock is ahead of ours (negative: behind); omitted below the
   *   threshold of a few seconds
   */
  describeParameters(query: DescribeQuery): Promise<DescribePage>;
}

/**
 * Parameter Store reads by one identity: the methods of SsmCalls, each with the permit of a rate limiter. They also
 * reject with what `Permit.use` rejects with.
 */
export interface SsmPort {
  /**
   * @param names of each try: a try after a throttle may have fewer. An error that it throws is the answer.
   */
  getParameters(
    permit: Permit<"ssm">,
    names: () => readonly string[],
    options: ReadOptions,
  ): ReturnType<SsmCalls["getParameters"]>;
  getParameter(permit: Permit<"ssm">, name: string, options: ReadOptions): Promise<ParameterRecord>;
  getParametersByPath(permit: Permit<"ssm">, query: PathQuery): ReturnType<SsmCalls["getParametersByPath"]>;
  describeParameters(permit: Permit<"describe">, query: DescribeQuery): Promise<DescribePage>;
}

/** Makes calls need a permit. */
export function ssmPort(calls: SsmCalls): SsmPort {
  return {
    getParameters: (permit, names, options) => permit.use(async () => calls.getParameters(names(), options)),
    getParameter: (permit, name, options) => permit.use(() => calls.getParameter(name, options)),
    getParametersByPath: (permit, query) => permit.use(() => calls.getParametersByPath(query)),
    describeParameters: (permit, query) => permit.use(() => calls.describeParameters(query)),
  };
}

/** Counts the SecureStrings: each decryption is a KMS request. */
function secureStringsIn(parameters: readonly (Parameter | undefined)[] | undefined): number {
  return list(parameters).filter((parameter) => parameter?.Type === "SecureString").length;
}

/** Parameters a page, the most that AWS gives. */
const pageSize = 10;

/** Maximum number of descriptions in a page, and of names in a call. */
export const descriptionsInACall = 50;

/** Maximum number of policies of a parameter, and of characters in each (User Guide, "Assigning parameter policies"). */
const most = { policies: 10, policyLength: 4_096 };

/** Milliseconds of clock difference to ignore: Date has whole seconds, and the response takes time. */
const leastAheadMs = 5_000;

/** Maximum bytes of a value; AWS stores 8 KiB in a parameter and 64 KiB in a Secrets Manager secret. */
const valueBytes = 65_536;

/** Maximum characters of a name, ARN, selector or token in a response. */
const textLength = 4_096;

/**
 * Implements SsmCalls with the SDK.
 *
 * @param call makes a call as the identity, with metrics and classified failures
 * @param region of the identity, for messages
 */
export function ssmCalls(call: SendCall, region: string): SsmCalls {
  const context = (operation: string, resource?: string): CallContext => ({
    service: "ssm",
    operation,
    region,
    ...(resource === undefined ? {} : { resource }),
  });
  return {
    async getParameters(names, { decrypt, signal }) {
      const about = context("GetParameters", names.length === 1 ? names[0] : undefined);
      const command = new GetParametersCommand({ Names: [...names], WithDecryption: decrypt });
      const answer = await call(about, signal, ({ ssm }, abortSignal) => ssm.send(command, { abortSignal }), {
        names: names.length,
        decrypted: (answer) => (decrypt ? secureStringsIn(answer.Parameters) : 0),
      });
      const requestId = requestIdOf(answer);
      return {
        found: given(answer.Parameters, about).map((parameter) => record(parameter, decrypt, about, requestId)),
        invalid: list(answer.InvalidParameters).filter((name) => isText(name)),
        ...(requestId === undefined ? {} : { requestId }),
      };
    },
    async getParameter(name, { decrypt, signal }) {
      const about = context("GetParameter", name);
      const command = new GetParameterCommand({ Name: name, WithDecryption: decrypt });
      const answer = await call(about, signal, ({ ssm }, abortSignal) => ssm.send(command, { abortSignal }), {
        decrypted: (answer) => (decrypt ? secureStringsIn([answer.Parameter]) : 0),
      });
      return record(answer.Parameter, decrypt, about, requestIdOf(answer));
    },
    async getParametersByPath({ path, recursive, label, types, decrypt, nextToken, signal }) {
      const about = context("GetParametersByPath", path);
      const filters: ParameterStringFilter[] = [];
      if (label !== undefined) filters.push({ Key: "Label", Option: "Equals", Values: [label] });
      if (types && types.length > 0) filters.push({ Key: "Type", Option: "Equals", Values: [...types] });
      const command = new GetParametersByPathCommand({
        Path: path,
        Recursive: recursive,
        WithDecryption: decrypt,
        MaxResults: pageSize,
        ...(filters.length > 0 ? { ParameterFilters: filters } : {}),
        ...(nextToken === undefined ? {} : { NextToken: nextToken }),
      });
      const answer = await call(about, signal, ({ ssm }, abortSignal) => ssm.send(command, { abortSignal }), {
        decrypted: (answer) => (decrypt ? secureStringsIn(answer.Parameters) : 0),
      });
      if (answer.NextToken !== undefined && !isText(answer.NextToken)) throw notUnderstood(about);
      return {
        found: given(answer.Parameters, about).map((parameter) =>
          record(parameter, decrypt, about, requestIdOf(answer)),
        ),
        ...(answer.NextToken === undefined ? {} : { nextToken: answer.NextToken }),
      };
    },
    async describeParameters({ names, path, tags = [], types: wanted = [], nextToken, signal }) {
      const about = context("DescribeParameters", "*");
      const filters: ParameterStringFilter[] = tags.map(([key, value]) => ({ Key: `tag:${key}`, Values: [value] }));
      if (names) filters.push({ Key: "Name", Option: "Equals", Values: [...names] });
      if (path) filters.push({ Key: "Path", Option: path.recursive ? "Recursive" : "OneLevel", Values: [path.name] });
      if (wanted.length > 0) filters.push({ Key: "Type", Option: "Equals", Values: [...wanted] });
      const command = new DescribeParametersCommand({
        ParameterFilters: filters,
        MaxResults: descriptionsInACall,
        ...(nextToken === undefined ? {} : { NextToken: nextToken }),
      });
      const { answer, clockAheadMs } = await call(about, signal, async ({ ssm }, abortSignal) => {
        const answer = await ssm.send(command, { abortSignal });
        // The SDK derives the offset from each response's Date header to sign requests.
        return { answer, clockAheadMs: ssm.config.systemClockOffset };
      });
      if (answer.NextToken !== undefined && !isText(answer.NextToken)) throw notUnderstood(about);
      return {
        ...(Math.abs(clockAheadMs) < leastAheadMs ? {} : { clockAheadMs }),
        found: given(answer.Parameters, about).flatMap((metadata) => description(metadata) ?? []),
        ...(answer.NextToken === undefined ? {} : { nextToken: answer.NextToken }),
      };
    },
  };
}

/** Validates a description from a response; undefined if it is malformed. */
function description(metadata: ParameterMetadata | undefined): ParameterDescription | undefined {
  const { Name: name, ARN: arn, Version: version, KeyId: keyId, LastModifiedDate: at, Policies } = metadata ?? {};
  const modified = at instanceof Date ? at.getTime() : Number.NaN;
  if (!isText(name) || !Number.isSafeInteger(version) || version! < 0 || Number.isNaN(modified)) return undefined;
  return {
    name,
    arn: isText(arn) ? arn : undefined,
    version: version!,
    modified,
    keyId: isText(keyId) && keyId.length <= 2_048 ? keyId : undefined,
    // A text that is too long for a policy counts as an unreadable policy.
    policies: list(Policies)
      .slice(0, most.policies)
      .map((policy) => {
        const text: unknown = policy?.PolicyText;
        return typeof text === "string" && text.length <= most.policyLength ? text : "";
      }),
  };
}

const types: ReadonlySet<string> = new Set(["String", "StringList", "SecureString"]);

/** Validates a parameter from a response. */
function record(
  parameter: Parameter | undefined,
  decrypt: boolean,
  about: CallContext,
  requestId: string | undefined,
): ParameterRecord {
  const { Name: name, ARN: arn, Type: type, Version: version, Selector: selector, Value: value } = parameter ?? {};
  const modified = parameter?.LastModifiedDate instanceof Date ? parameter.LastModifiedDate.getTime() : Number.NaN;
  if (!isText(name) || !isText(arn) || !types.has(type as string)) throw notUnderstood(about);
  if (!Number.isSafeInteger(version) || version! < 0 || Number.isNaN(modified)) throw notUnderstood(about);
  if (selector !== undefined && selector !== null && !isText(selector)) throw notUnderstood(about);
  const shared = {
    name,
    // Without a selector, AWS omits the field or returns an empty string.
    selector: selector || undefined,
    arn,
    type: type as ParameterType,
    version: version!,
    modified,
  };
  const versionId = version === 0 ? versionIdOf(parameter?.SourceResult) : undefined;
  if (versionId !== undefined) Object.assign(shared, { versionId });
  if (!decrypt) return { ...shared, value: undefined };
  if (typeof value !== "string" || Buffer.byteLength(value) > valueBytes) throw notUnderstood(about);
  return { ...shared, value: Sealed.text(value), requestId };
}

/** Returns the version id from the Secrets Manager response, which contains the secret and is not kept. */
function versionIdOf(sourceResult: unknown): string | undefined {
  if (typeof sourceResult !== "string" || sourceResult.length > 4 * valueBytes) return undefined;
  try {
    const source: unknown = JSON.parse(sourceResult);
    const isObject = typeof source === "object" && source !== null && Object.hasOwn(source, "VersionId");
    const id = isObject ? (source as { VersionId: unknown }).VersionId : undefined;
    return typeof id === "string" && /^[A-Za-z0-9-]{1,64}$/.test(id) ? id : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Returns the list of a response. AWS returns an empty list for no items, so a missing list is invalid.
 *
 * @throws AwsFailure
 */
function given<T>(items: readonly T[] | undefined, about: CallContext): readonly T[] {
  if (!Array.isArray(items)) throw invalidAnswer(about, "no list of parameters");
  return items;
}

function list<T>(items: readonly T[] | undefined): readonly T[] {
  return Array.isArray(items) ? items : [];
}

function isText(text: unknown): text is string {
  return typeof text === "string" && text.length > 0 && text.length <= textLength;
}

/** `wait`, not `retry`: the batch is then split, which isolates the bad parameter and reads the other nine. */
function notUnderstood({ operation, region, resource }: CallContext): AwsFailure {
  const about = resource === undefined ? "" : ` for ${resource}`;
  const message = `AWS Systems Manager in ${region} answered ssm:${operation}${about} with something that is no parameter`;
  return new AwsFailure({ reason: "Unreachable", next: "wait", code: "InvalidAnswer", message });
}
