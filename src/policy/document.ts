import { suffixesOf } from "../aws/events/queue-url.ts";
import type { KeyUse, Needs } from "./needs.ts";

/** A statement of an IAM or key policy, with its fields in reading order. */
export interface Statement {
  Sid: string;
  Effect: "Allow";
  Principal?: { AWS: string | string[] };
  Action: string | string[];
  Resource: string | string[];
  Condition?: Conditions;
}

/** By operator, then by condition key. */
export type Conditions = Record<string, Record<string, string | string[]>>;

export interface Document {
  Version: "2012-10-17";
  Statement: Statement[];
}

/** The statements for one key's policy. */
export interface KeyStatements {
  /** The ARN of the key, or of its alias. */
  key: string;
  statements: Statement[];
}

/** The actions for reads by name: batches of ten, and single reads of names that turn out to be missing. */
const reads = ["ssm:GetParameter", "ssm:GetParameters"];

interface KeyStatement {
  base: string;
  action: string;
  /** ARNs of keys, or of aliases of one account and region. */
  keys: string[];
  condition?: Conditions;
}

/** The minimal IAM policy of an identity. Pure; equal needs give equal text. */
export function documentOf(needs: Needs, withOptional: boolean): Document {
  const statements: Statement[] = [];
  const add = (Sid: string, Action: string | string[], resources: Iterable<string>, Condition?: Conditions) => {
    const Resource = one(sorted(resources));
    if (Resource.length === 0) return;
    const Action_ = Array.isArray(Action) ? one(sorted(Action)) : Action;
    statements.push({
      Sid: unique(Sid, statements),
      Effect: "Allow",
      Action: Action_,
      Resource,
      ...(Condition ? { Condition } : {}),
    });
  };
  add("ReadParameters", reads, uncovered(needs.parameters));
  add("ListPaths", "ssm:GetParametersByPath", needs.paths);
  const described = needs.isTagged ? "TagsOfPaths" : needs.isExpiryAsked ? "ExpiryOfParameters" : undefined;
  if (described) add(described, "ssm:DescribeParameters", ["*"]);
  add("ReadSecretsManager", "secretsmanager:GetSecretValue", needs.secrets);
  for (const { base, action, keys, condition } of keyStatements(needs, withOptional)) {
    const isAlias = keys[0]!.includes(":alias/");
    add(base, action, isAlias ? [`${keys[0]!.slice(0, keys[0]!.indexOf(":alias/"))}:key/*`] : keys, condition);
  }
  add("ReceiveEvents", ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility"], needs.queues);
  add("TagsOfQueues", "sqs:ListQueueTags", needs.ownQueues);
  const byActions = new Map<string, string[]>();
  for (const [role, actions] of needs.roles) {
    const key = sorted(actions).join(" ");
    byActions.set(key, [...(byActions.get(key) ?? []), role]);
  }
  for (const [actions, roles] of [...byActions].sort()) add("AssumeRoles", actions.split(" "), roles);
  const isRead = needs.parameters.size + needs.paths.size > 0;
  if (withOptional && isRead && !described) add("OptionalExpiryOfParameters", "ssm:DescribeParameters", ["*"]);
  return { Version: "2012-10-17", Statement: statements };
}

/**
 * The statements for the keys' policies, sorted by key.
 *
 * @param principal the principal of an identity that is not a role; default: its account, whose IAM policies then
 *   decide
 */
export function keyStatementsOf(all: Iterable<Needs>, withOptional: boolean, principal?: string): KeyStatements[] {
  const byKey = new Map<string, Statement[]>();
  for (const needs of all) {
    const isRole = needs.identity.startsWith("arn:");
    const who = isRole ? needs.identity : (principal ?? `arn:${needs.partition}:iam::${needs.account}:root`);
    for (const { base, action, keys, condition } of keyStatements(needs, withOptional)) {
      for (const key of keys) {
        const statements = byKey.get(key) ?? [];
        byKey.set(key, statements);
        const Condition = key.includes(":alias/") ? { ...condition, ...requestAlias([key]) } : condition;
        const same = statements.find(
          (other) => other.Action === action && JSON.stringify(other.Condition) === JSON.stringify(Condition),
        );
        if (same) same.Principal = { AWS: one(sorted([...[same.Principal!.AWS].flat(), who])) };
        else {
          const Sid = unique(base, statements);
          const Principal = { AWS: who };
          statements.push({
            Sid,
            Effect: "Allow",
            Principal,
            Action: action,
            Resource: "*",
            ...(Condition ? { Condition } : {}),
          });
        }
      }
    }
  }
  return [...byKey].sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, statements]) => ({ key, statements }));
}

/** An identity's uses of KMS keys, merged: no statement repeats what another allows. */
function keyStatements(needs: Needs, withOptional: boolean): KeyStatement[] {
  const decrypt = "kms:Decrypt";
  const free = new Set(needs.blobs.filter(({ bound }) => bound.size === 0).map(({ key }) => key));
  const bound = needs.blobs.filter(({ key }) => !free.has(key));
  const statements: KeyStatement[] = [...named("DecryptBlobs", decrypt, free), ...boundStatements(bound)];
  for (const [region, keys] of [...needs.parameterKeys].sort()) {
    const others = [...keys].filter((key) => !free.has(key));
    // Parameters that AWS publishes or passes through are no SecureStrings under our keys.
    const isOwn = (arn: string) => arn.split(":")[3] === region && !arn.includes(":parameter/aws/");
    const arns = uncovered([...needs.parameters].filter(isOwn));
    if (others.length === 0 || arns.length === 0) continue;
    const operator = arns.some((arn) => arn.endsWith("*")) ? "StringLike" : "StringEquals";
    const via = { "kms:ViaService": `ssm.${region}.${suffixesOf(region).plain}` };
    const context = { "kms:EncryptionContext:PARAMETER_ARN": one(arns) };
    const condition: Conditions =
      operator === "StringEquals"
        ? { StringEquals: { ...via, ...context } }
        : { StringEquals: via, StringLike: context };
    statements.push({ base: "DecryptSecureStrings", action: decrypt, keys: sorted(others), condition });
  }
  if (!withOptional) return statements;
  const all = new Set([
    ...needs.blobs.map(({ key }) => key),
    ...[...needs.parameterKeys.values()].flatMap((keys) => [...keys]),
  ]);
  return [...statements, ...named("OptionalHealthOfKeys", "kms:DescribeKey", all)];
}

/** Statements for keys named by ARN, and one for each account and region of the aliases. */
function named(base: string, action: string, keys: ReadonlySet<string>): KeyStatement[] {
  const aliases = new Map<string, string[]>();
  const arns: string[] = [];
  for (const key of sorted(keys)) {
    const at = key.indexOf(":alias/");
    if (at < 0) arns.push(key);
    else aliases.set(key.slice(0, at), [...(aliases.get(key.slice(0, at)) ?? []), key]);
  }
  return [
    ...(arns.length > 0 ? [{ base, action, keys: arns }] : []),
    ...[...aliases.values()].map((some) => ({ base, action, keys: some, condition: requestAlias(some) })),
  ];
}

/** One statement per namespace's set of names: combined lists would allow every pair of both. */
function boundStatements(uses: readonly KeyUse[]): KeyStatement[] {
  const scopes = new Map<string, { pairs: ReadonlyMap<string, string>; names: Map<string, Set<string>> }>();
  const nameKey = "keyferry.io/name";
  for (const { key, bound } of uses) {
    const pairs = new Map([...bound].filter(([name]) => name !== nameKey));
    const scope = JSON.stringify([[...pairs], bound.has(nameKey)]);
    const found = scopes.get(scope) ?? { pairs, names: new Map<string, Set<string>>() };
    scopes.set(scope, found);
    const names = found.names.get(key) ?? new Set();
    found.names.set(key, names);
    const name = bound.get(nameKey);
    if (name !== undefined) names.add(name);
  }
  return [...scopes]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([, { pairs, names }]) => {
      const byNames = new Map<string, { names: string[]; keys: Set<string> }>();
      for (const [key, some] of names) {
        const list = sorted(some);
        const found = byNames.get(list.join()) ?? { names: list, keys: new Set() };
        found.keys.add(key);
        byNames.set(list.join(), found);
      }
      return [...byNames.values()].flatMap(({ names: list, keys }) => {
        const context = [...pairs, ...(list.length > 0 ? [[nameKey, one(list)] as const] : [])];
        const own = Object.fromEntries(context.map(([name, value]) => [`kms:EncryptionContext:${name}`, value]));
        return named("DecryptBoundBlobs", "kms:Decrypt", keys).map((statement) => ({
          ...statement,
          condition: { StringEquals: { ...statement.condition?.StringEquals, ...own } },
        }));
      });
    });
}

/**
 * IAM identifies keys by ARN only; an alias is compared with the one in the call (KMS Developer Guide,
 * kms:RequestAlias).
 */
function requestAlias(aliases: readonly string[]): Conditions {
  return { StringEquals: { "kms:RequestAlias": one(aliases.map((arn) => arn.slice(arn.indexOf(":alias/") + 1))) } };
}

/** The sorted resources, without those that another resource with a trailing star covers. */
function uncovered(resources: Iterable<string>): string[] {
  const all = sorted(resources);
  const stars = all.filter((arn) => arn.endsWith("*"));
  return all.filter((arn) => !stars.some((star) => star !== arn && arn.startsWith(star.slice(0, -1))));
}

function unique(base: string, statements: readonly Statement[]): string {
  const count = statements.filter(({ Sid }) => Sid.replace(/[0-9]+$/, "") === base).length;
  return count === 0 ? base : `${base}${count + 1}`;
}

function one(list: string[]): string | string[] {
  return list.length === 1 ? list[0]! : list;
}

function sorted(items: Iterable<string>): string[] {
  return [...new Set(items)].sort();
}
