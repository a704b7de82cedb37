import { randomBytes } from "node:crypto";
import type { Clock } from "../../src/runtime/clock.ts";
import { type Call, glob } from "./call.ts";
import { escapeXml, type Reply, ServiceError, xmlReply } from "./http.ts";
import type { Identities } from "./identities.ts";
import { checkedClaims, type WebIdentityTrust } from "./web-identity.ts";

/** A role as its trust policy has it. One that nothing was said of trusts everybody, with everything. */
export interface Role {
  /** Callers' ARNs that may assume it, with `*` for anything; nobody, as with a role that does not exist, for []. */
  trusts?: string[];
  /** What a caller has to give along. */
  externalId?: string;
  /** Whether the trust policy allows sts:TagSession and sts:SetSourceIdentity; it does when left out. */
  tagSession?: boolean;
  setSourceIdentity?: boolean;
  /** What AssumeRoleWithWebIdentity needs. */
  webIdentity?: WebIdentityTrust;
  /** Seconds; an hour when left out, as with every new role. */
  maxSessionDuration?: number;
}

/** A session that was begun. */
export interface Session {
  roleArn: string;
  /** The caller's ARN. */
  by: string;
  region: string;
  name: string;
  /** Those that it inherits too. */
  tags: Record<string, string>;
  transitiveTagKeys: string[];
  sourceIdentity: string | undefined;
  externalId: string | undefined;
  durationSeconds: number;
}

const roleForm = /^arn:(aws[a-z-]*):iam::(\d{12}):role\/([\w+=,.@/-]{1,512})$/;
/** Seconds that a role may have a session last where another role assumes it (IAM User Guide, "Role chaining"). */
const chainedAtMost = 3_600;

/** sts:AssumeRole as AWS carries it out: trust, external id, tags, source identity and how long a session may last. */
export class Roles {
  readonly sessions: Session[] = [];
  readonly #roles = new Map<string, Role>();
  readonly #identities: Identities;
  readonly #clock: Clock;

  constructor(identities: Identities, clock: Clock) {
    this.#identities = identities;
    this.#clock = clock;
  }

  set(roleArn: string, role: Role): void {
    this.#roles.set(roleArn, role);
  }

  /** @throws ServiceError in AWS's words */
  assume(call: Call): Reply {
    const asked = read(call);
    const found = roleForm.exec(asked.roleArn);
    if (!found) throw new ServiceError("ValidationError", `${asked.roleArn} is invalid`);
    const {
      trusts = ["*"],
      externalId,
      maxSessionDuration = 3_600,
      ...may
    } = this.#roles.get(asked.roleArn) ?? {
      maxSessionDuration: 43_200,
    };
    const whose = this.#identities.whose(call.accessKeyId);
    const deny = (action: string): never => {
      throw new ServiceError(
        "AccessDenied",
        `User: ${call.arn} is not authorized to perform: ${action} on resource: ${asked.roleArn}`,
        403,
      );
    };
    if (!trusts.some((pattern) => glob(pattern, call.arn))) deny("sts:AssumeRole");
    if (externalId !== undefined && externalId !== asked.externalId) deny("sts:AssumeRole");
    const { transitiveTags: inherited = {} } = whose;
    checkTags(asked, inherited);
    const tags = { ...inherited, ...asked.tags };
    if (Object.keys(tags).length > 0 && may.tagSession === false) deny("sts:TagSession");
    const { sourceIdentity = whose.sourceIdentity } = asked;
    if (sourceIdentity !== undefined && may.setSourceIdentity === false) deny("sts:SetSourceIdentity");
    if (whose.sourceIdentity !== undefined && whose.sourceIdentity !== sourceIdentity) deny("sts:SetSourceIdentity");
    const tooLong = (what: string): never => {
      throw new ServiceError("ValidationError", `The requested DurationSeconds exceeds the ${what}.`);
    };
    const isChained = call.arn.includes(":assumed-role/");
    if (isChained && asked.durationSeconds > chainedAtMost)
      tooLong("1 hour session limit for roles assumed by role chaining");
    if (asked.durationSeconds > maxSessionDuration) tooLong("MaxSessionDuration set for this role");
    const [, partition, account, path] = found;
    const arn = `arn:${partition}:sts::${account}:assumed-role/${path!.slice(path!.lastIndexOf("/") + 1)}/${asked.name}`;
    const accessKeyId = `ASIA${randomBytes(8).toString("hex").toUpperCase()}`;
    const expiresAt = this.#clock.now() + asked.durationSeconds * 1_000;
    this.#identities.learn(accessKeyId, {
      account: account!,
      arn,
      expiresAt,
      ...(sourceIdentity ? { sourceIdentity } : {}),
      transitiveTags: { ...inherited, ...pick(asked.tags, asked.transitiveTagKeys) },
    });
    this.sessions.push({ ...asked, tags, by: call.arn, region: call.region, sourceIdentity });
    return answer("AssumeRole", { accessKeyId, arn, expiresAt, sourceIdentity });
  }

  /** AssumeRoleWithWebIdentity: the caller is who the token says. @throws ServiceError in AWS's words */
  assumeWithToken(call: Call): Reply {
    const asked = read(call);
    const found = roleForm.exec(asked.roleArn);
    if (!found) throw new ServiceError("ValidationError", `${asked.roleArn} is invalid`);
    const { webIdentity = {}, maxSessionDuration = 3_600 } = this.#roles.get(asked.roleArn) ?? {};
    const { sub } = checkedClaims(String(call.input.WebIdentityToken ?? ""), webIdentity, this.#clock.now());
    if (asked.durationSeconds > maxSessionDuration) {
      const message = "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.";
      throw new ServiceError("ValidationError", message);
    }
    const [, partition, account, path] = found;
    const arn = `arn:${partition}:sts::${account}:assumed-role/${path!.slice(path!.lastIndexOf("/") + 1)}/${asked.name}`;
    const accessKeyId = `ASIA${randomBytes(8).toString("hex").toUpperCase()}`;
    const expiresAt = this.#clock.now() + asked.durationSeconds * 1_000;
    this.#identities.learn(accessKeyId, { account: account!, arn, expiresAt });
    this.sessions.push({ ...asked, by: sub, region: call.region, sourceIdentity: undefined });
    return answer("AssumeRoleWithWebIdentity", { accessKeyId, arn, expiresAt, sourceIdentity: undefined });
  }
}

function read({ input }: Call): Omit<Session, "by" | "region"> {
  const text = (name: string) => (typeof input[name] === "string" ? (input[name] as string) : undefined);
  const name = text("RoleSessionName") ?? "";
  const durationSeconds = Number(text("DurationSeconds") ?? 3_600);
  const refuse = (value: string, member: string, constraint: string): never => {
    throw new ServiceError(
      "ValidationError",
      `1 validation error detected: Value '${value}' at '${member}' failed to satisfy constraint: ${constraint}`,
    );
  };
  if (!/^[\w+=,.@-]{2,64}$/.test(name))
    refuse(name, "roleSessionName", "Member must satisfy regular expression pattern");
  if (durationSeconds < 900) refuse(`${durationSeconds}`, "durationSeconds", "Member must have value of at least 900");
  if (durationSeconds > 43_200)
    refuse(`${durationSeconds}`, "durationSeconds", "Member must have value of at most 43200");
  const tags: Record<string, string> = {};
  for (let index = 1; text(`Tags.member.${index}.Key`) !== undefined; index++) {
    tags[text(`Tags.member.${index}.Key`)!] = text(`Tags.member.${index}.Value`) ?? "";
  }
  const transitiveTagKeys: string[] = [];
  for (let index = 1; text(`TransitiveTagKeys.member.${index}`) !== undefined; index++) {
    transitiveTagKeys.push(text(`TransitiveTagKeys.member.${index}`)!);
  }
  const [sourceIdentity, externalId] = [text("SourceIdentity"), text("ExternalId")];
  return { roleArn: text("RoleArn") ?? "", name, tags, transitiveTagKeys, sourceIdentity, externalId, durationSeconds };
}

/** @throws ServiceError if a transitive key is no tag, or an inherited tag is set again */
function checkTags({ tags, transitiveTagKeys }: Pick<Session, "tags" | "transitiveTagKeys">, inherited: object): void {
  const keys = Object.keys(tags).map((key) => key.toLowerCase());
  const missing = transitiveTagKeys.some((key) => !keys.includes(key.toLowerCase()));
  const again = Object.keys(inherited).some((key) => keys.includes(key.toLowerCase()));
  if (missing)
    throw new ServiceError(
      "ValidationError",
      "The specified transitive tag key must be included in the requested tags.",
    );
  if (again)
    throw new ServiceError(
      "ValidationError",
      "One of the specified transitive tag keys can't be set because it conflicts with a transitive tag key from the calling session.",
    );
}

function pick(tags: Record<string, string>, keys: readonly string[]): Record<string, string> {
  return Object.fromEntries(keys.map((key) => [key, tags[key]!]));
}

function answer(
  operation: string,
  {
    accessKeyId,
    arn,
    expiresAt,
    sourceIdentity,
  }: { accessKeyId: string; arn: string; expiresAt: number; sourceIdentity: string | undefined },
): Reply {
  const secret = randomBytes(30).toString("base64");
  const token = randomBytes(90).toString("base64");
  const source = sourceIdentity === undefined ? "" : `<SourceIdentity>${escapeXml(sourceIdentity)}</SourceIdentity>`;
  return xmlReply(
    `<${operation}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><${operation}Result>${source}` +
      `<AssumedRoleUser><AssumedRoleId>AROA3XFRBF535PLBIFPI4:${arn.slice(arn.lastIndexOf("/") + 1)}</AssumedRoleId>` +
      `<Arn>${escapeXml(arn)}</Arn></AssumedRoleUser><Credentials><AccessKeyId>${accessKeyId}</AccessKeyId>` +
      `<SecretAccessKey>${secret}</SecretAccessKey><SessionToken>${token}</SessionToken>` +
      `<Expiration>${new Date(expiresAt).toISOString()}</Expiration></Credentials></${operation}Result>` +
      `<ResponseMetadata><RequestId>0</RequestId></ResponseMetadata></${operation}Response>`,
  );
}
