import { randomBytes } from "node:crypto";
import type { Clock } from "../../src/runtime/clock.ts";
import { type Call, glob } from "./call.ts";
import { escapeXml, type Reply, ServiceError, xmlReply } from "./http.ts";
import type { Identities } from "./identities.ts";

/** A role as its trust policy has it. One that nothing was said of trusts everybody, with everything. */
export interface Role {
  /** Callers' ARNs that may assume it, with `*` for anything; nobody, as with a role that does not exist, for []. */
  trusts?: string[];
  /** What a caller has to give along. */
  externalId?: string;
  /** Whether the trust policy allows sts:TagSession and sts:SetSourceIdentity; it does when left out. */
  tagSession?: boolean;
  setSourceIdentity?: boolean;
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
  tags: Record<string, string>;
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
    if (Object.keys(asked.tags).length > 0 && may.tagSession === false) deny("sts:TagSession");
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
    });
    this.sessions.push({ ...asked, by: call.arn, region: call.region, sourceIdentity });
    return answer(accessKeyId, arn, expiresAt, sourceIdentity);
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
  const [sourceIdentity, externalId] = [text("SourceIdentity"), text("ExternalId")];
  return { roleArn: text("RoleArn") ?? "", name, tags, sourceIdentity, externalId, durationSeconds };
}

function answer(accessKeyId: string, arn: string, expiresAt: number, sourceIdentity: string | undefined): Reply {
  const secret = randomBytes(30).toString("base64");
  const token = randomBytes(90).toString("base64");
  const source = sourceIdentity === undefined ? "" : `<SourceIdentity>${escapeXml(sourceIdentity)}</SourceIdentity>`;
  return xmlReply(
    `<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult>${source}` +
      `<AssumedRoleUser><AssumedRoleId>AROA3XFRBF535PLBIFPI4:${arn.slice(arn.lastIndexOf("/") + 1)}</AssumedRoleId>` +
      `<Arn>${escapeXml(arn)}</Arn></AssumedRoleUser><Credentials><AccessKeyId>${accessKeyId}</AccessKeyId>` +
      `<SecretAccessKey>${secret}</SecretAccessKey><SessionToken>${token}</SessionToken>` +
      `<Expiration>${new Date(expiresAt).toISOString()}</Expiration></Credentials></AssumeRoleResult>` +
      `<ResponseMetadata><RequestId>0</RequestId></ResponseMetadata></AssumeRoleResponse>`,
  );
}
