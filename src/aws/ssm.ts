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

export type ParameterType = "String" | "StringList" | "SecureString";

/** One version of a parameter. */
export interface ParameterRecord {
  /** As AWS answers: the name that it was made under, or the ARN where that was asked for another account's. */
  name: string;
  /** `:3` or `:prod`, as AWS answers; undefined where none was asked for. */
  selector: string | undefined;
  arn: string;
  type: ParameterType;
  /** From 1; starts at 1 again after a delete; 0 for a reference to Secrets Manager. */
  version: number;
  /** LastModifiedDate, milliseconds since the epoch. */
  modified: number;
  /** Undefined without decryption, whatever the type. */
  value: Sealed | undefined;
  /** AWS's id of the request that decrypted it. */
  requestId?: string | undefined;
  /** Of a secret of Secrets Manager, whose `version` is 0: the id of its version. */
  versionId?: string;
}

/** A parameter as DescribeParameters tells of it: of its latest version, and without its value. */
export interface ParameterDescription {
  name: string;
  /** Undefined where AWS does not say. */
  arn: string | undefined;
  version: number;
  /** LastModifiedDate, milliseconds since the epoch. */
  modified: number;
  /** The key of a SecureString, as it was named. */
  keyId: string | undefined;
  /** The JSON of its policies, at most ten: written by its owner, and not looked at here. */
  policies: readonly string[];
}

/** What `describeParameters` asks for: one page. */
export interface DescribeQuery {
  /** At most 50 names, exactly as they were made. */
  names?: readonly string[];
  /** Only what is below a path. */
  path?: { name: string; recursive: boolean };
  /** Only what carries all of these tags, with these values. */
  tags?: readonly (readonly [string, string])[];
  /** Only these types; all where left out. */
  types?: readonly string[];
  /** From the page before. */
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
  /** Without it, no KMS key is used and no value is given out. */
  decrypt: boolean;
  signal?: AbortSignal;
}

/** What `getParametersByPath` asks for: one page. */
export interface PathQuery extends ReadOptions {
  /** Begins with a slash. */
  path: string;
  recursive: boolean;
  /** Only versions that carry it. */
  label?: string;
  /** Only these types; all where left out. */
  types?: readonly string[];
  /** From the page before. */
  nextToken?: string;
}

/** The reads of Parameter Store, of one identity. Every method rejects with an AwsFailure, and with nothing else. */
export interface SsmPort {
  /**
   * @param names 1 to 10, distinct; each may carry a selector (`/a:3`) or be an ARN
   * @returns `found` in no order that means anything, with what AWS answered: the caller drops what it did not ask for;
   *   `invalid`, the names that do not exist in this version or label, or are malformed
   */
  getParameters(
    names: readonly string[],
    options: ReadOptions,
  ): Promise<{ found: ParameterRecord[]; invalid: string[]; requestId?: string }>;
  /**
   * @returns what AWS answered: the caller drops what it did not ask for
   * @throws AwsFailure of code `ParameterNotFound` or `ParameterVersionNotFound` where there is none
   */
  getParameter(name: string, options: ReadOptions): Promise<ParameterRecord>;
  /** One page of at most ten. A page may be empty and still carry a token. */
  getParametersByPath(query: PathQuery): Promise<{ found: ParameterRecord[]; nextToken?: string }>;
  /**
   * One page of at most fifty, in no order that means anything. What AWS tells in a form that is no description is left
   * out. Its rate has a limit of its own. IAM knows no resource for it: whoever may, may describe every parameter.
   *
   * @returns `clockAheadMs`, milliseconds that AWS's clock is ahead of ours (negative: behind); left out where they are
   *   not seconds apart
   */
  describeParameters(query: DescribeQuery): Promise<DescribePage>;
}

/** Each of them is a request to KMS. */
function secureStringsIn(parameters: readonly (Parameter | undefined)[] | undefined): number {
  return list(parameters).filter((parameter) => parameter?.Type === "SecureString").length;
}

/** Parameters a page, the most that AWS gives. */
const pageSize = 10;

/** Descriptions a page, the most that AWS gives, and names that one call takes. */
export const descriptionsInACall = 50;

/** Policies of one parameter, and characters of each, at most (User Guide, "Assigning parameter policies"). */
const most = { policies: 10, policyLength: 4_096 };

/** Milliseconds that two clocks have to be apart: an answer's Date has whole seconds, and travels. */
const leastAheadMs = 5_000;

/** Bytes of one value, at most; AWS keeps 8 KiB of a parameter and 64 KiB of a secret of Secrets Manager. */
const valueBytes = 65_536;

/** Characters of a name, ARN, selector or token in an answer, at most. */
const textLength = 4_096;

/**
 * Reads by the SDK.
 *
 * @param call makes a call of the identity, measured and with its failures classed
 * @param region of the identity, for messages
 */
export function ssmPort(call: SendCall, region: string): SsmPort {
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
        // The SDK keeps it to sign by, from the Date of each answer.
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

/** Takes a description of an answer, which may be anything, for what it has to be; undefined where it is not. */
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
    // What is too long to be a policy counts as one that cannot be read.
    policies: list(Policies)
      .slice(0, most.policies)
      .map((policy) => {
        const text: unknown = policy?.PolicyText;
        return typeof text === "string" && text.length <= most.policyLength ? text : "";
      }),
  };
}

const types: ReadonlySet<string> = new Set(["String", "StringList", "SecureString"]);

/** Takes a parameter of an answer, which may be anything, for what it has to be. */
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
    // Without one, AWS leaves it out or answers with an empty text.
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

/** The id of a secret's version, from Secrets Manager's own answer, which has the secret in it and is not kept. */
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
 * What AWS lists, where it lists anything: none is an empty list, and an answer without a list is no answer.
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

/** `wait`, not `retry`: one such parameter among ten is then found by itself, and the other nine are read. */
function notUnderstood({ operation, region, resource }: CallContext): AwsFailure {
  const about = resource === undefined ? "" : ` for ${resource}`;
  const message = `AWS Systems Manager in ${region} answered ssm:${operation}${about} with something that is no parameter`;
  return new AwsFailure({ reason: "Unreachable", next: "wait", code: "InvalidAnswer", message });
}
