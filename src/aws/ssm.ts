import {
  GetParameterCommand,
  GetParametersByPathCommand,
  GetParametersCommand,
  type Parameter,
  type ParameterStringFilter,
} from "@aws-sdk/client-ssm";
import { Sealed } from "../runtime/sealed.ts";
import type { SendCall } from "./calls.ts";
import { requestIdOf } from "./classify.ts";
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
  /** @throws AwsFailure of code `ParameterNotFound` or `ParameterVersionNotFound` where there is none */
  getParameter(name: string, options: ReadOptions): Promise<ParameterRecord>;
  /** One page of at most ten. A page may be empty and still carry a token. */
  getParametersByPath(query: PathQuery): Promise<{ found: ParameterRecord[]; nextToken?: string }>;
}

/** Parameters a page, the most that AWS gives. */
const pageSize = 10;

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
      });
      const requestId = requestIdOf(answer);
      return {
        found: list(answer.Parameters).map((parameter) => record(parameter, decrypt, about)),
        invalid: list(answer.InvalidParameters).filter((name) => isText(name)),
        ...(requestId === undefined ? {} : { requestId }),
      };
    },
    async getParameter(name, { decrypt, signal }) {
      const about = context("GetParameter", name);
      const command = new GetParameterCommand({ Name: name, WithDecryption: decrypt });
      const answer = await call(about, signal, ({ ssm }, abortSignal) => ssm.send(command, { abortSignal }));
      return record(answer.Parameter, decrypt, about);
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
      const answer = await call(about, signal, ({ ssm }, abortSignal) => ssm.send(command, { abortSignal }));
      if (answer.NextToken !== undefined && !isText(answer.NextToken)) throw notUnderstood(about);
      return {
        found: list(answer.Parameters).map((parameter) => record(parameter, decrypt, about)),
        ...(answer.NextToken === undefined ? {} : { nextToken: answer.NextToken }),
      };
    },
  };
}

const types: ReadonlySet<string> = new Set(["String", "StringList", "SecureString"]);

/** Takes a parameter of an answer, which may be anything, for what it has to be. */
function record(parameter: Parameter | undefined, decrypt: boolean, about: CallContext): ParameterRecord {
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
  if (!decrypt) return { ...shared, value: undefined };
  if (typeof value !== "string" || Buffer.byteLength(value) > valueBytes) throw notUnderstood(about);
  return { ...shared, value: Sealed.text(value) };
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
