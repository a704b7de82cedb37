import type { Identity } from "../../src/aws/identity.ts";
import { type KmsCalls, limitedKms } from "../../src/aws/kms.ts";
import { type Permit, RateLimiter } from "../../src/aws/ratelimit/limiter.ts";
import { Quota } from "../../src/aws/ratelimit/quota.ts";
import type { Service } from "../../src/aws/ratelimit/quota-registry.ts";
import type { SsmCalls } from "../../src/aws/ssm.ts";
import { systemClock } from "../../src/runtime/clock.ts";

/** A permit of a limiter that has stopped since: its call is not retried after a throttle. */
export async function permitFor<S extends Service>(service: S): Promise<Permit<S>> {
  const quota = new Quota(systemClock, 1);
  const limiter = new RateLimiter({ clock: systemClock, quota, ownLimit: () => undefined, note: () => {} });
  const request = { service, identityKey: "test", lane: "bulk", namespace: "", isWanted: () => true } as const;
  const permit = await limiter.acquire(request);
  limiter.stop();
  return permit;
}

/** An identity's calls to Parameter Store, each with a permit of its own. */
export function ssmOf({ ssm }: Pick<Identity, "ssm">): SsmCalls {
  return {
    getParameters: async (names, options) => ssm.getParameters(await permitFor("ssm"), () => names, options),
    getParameter: async (name, options) => ssm.getParameter(await permitFor("ssm"), name, options),
    getParametersByPath: async (query) => ssm.getParametersByPath(await permitFor("ssm"), query),
    describeParameters: async (query) => ssm.describeParameters(await permitFor("describe"), query),
  };
}

/** An identity's calls to KMS, each with a permit of its own. */
export function kmsOf({ kms }: Pick<Identity, "kms">): KmsCalls {
  return limitedKms(kms, () => permitFor("kms"));
}
