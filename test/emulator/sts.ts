import type { Clock } from "../../src/runtime/clock.ts";
import type { Call } from "./call.ts";
import { escapeXml, type Reply, xmlReply } from "./http.ts";
import type { Identities } from "./identities.ts";
import { Roles } from "./roles.ts";

/** Who is who: GetCallerIdentity, AssumeRole and AssumeRoleWithWebIdentity by the door itself. */
export class Sts {
  readonly roles: Roles;

  constructor(identities: Identities, clock: Clock) {
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
}
