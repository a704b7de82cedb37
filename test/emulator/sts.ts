import type { Clock } from "../../src/runtime/clock.ts";
import type { Call } from "./call.ts";
import { escapeXml, type Reply, xmlReply } from "./http.ts";
import type { Identities } from "./identities.ts";
import { Roles } from "./roles.ts";

/** Who is who: GetCallerIdentity, AssumeRole and AssumeRoleWithWebIdentity by the door itself, and the keys that moto hands out otherwise. */
export class Sts {
  readonly roles: Roles;
  #identities: Identities;

  constructor(identities: Identities, clock: Clock) {
    this.#identities = identities;
    this.roles = new Roles(identities, clock);
  }

  /** @returns the answer to GetCallerIdentity and to both operations for roles; undefined for every other operation */
  own(call: Call): Reply | undefined {
    if (call.operation === "AssumeRole") return this.roles.assume(call);
    if (call.operation === "AssumeRoleWithWebIdentity") return this.roles.assumeWithToken(call);
    if (call.operation !== "GetCallerIdentity") return undefined;
    return xmlReply(
      `<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>` +
        `<Arn>${escapeXml(call.arn)}</Arn><UserId>${escapeXml(call.accessKeyId)}</UserId><Account>${call.account}</Account>` +
        `</GetCallerIdentityResult><ResponseMetadata><RequestId>0</RequestId></ResponseMetadata></GetCallerIdentityResponse>`,
    );
  }

  /** Remembers whose a key is that an AssumeRole of any kind has handed out. */
  learn(reply: Reply): void {
    const text = reply.body.toString();
    const accessKeyId = /<AccessKeyId>([^<]{1,128})<\/AccessKeyId>/.exec(text)?.[1];
    const role = /<AssumedRoleUser>.*?<Arn>(arn:[^:<]{1,20}:sts::(\d{12}):[^<]{1,512})<\/Arn>/s.exec(text);
    if (accessKeyId && role) this.#identities.learn(accessKeyId, { account: role[2]!, arn: role[1]! });
  }
}
