import { AssumeRoleCommand } from "@aws-sdk/client-sts";
import type { Clock } from "../runtime/clock.ts";
import type { Caller } from "./caller.ts";
import type { SendCall } from "./calls.ts";
import type { CredentialProvider, Credentials } from "./credentials.ts";
import { AwsFailure, type CallContext } from "./failure.ts";
import type { RoleStep, WebIdentity } from "./identity-spec.ts";
import { type Begun, sessionOf } from "./session.ts";
import { assumeWithToken } from "./web-identity.ts";

/** Default session duration in seconds: the maximum that AWS allows with role chaining. */
const sessionSeconds = 3_600;
/** Milliseconds before its end at which a session is renewed; the current credentials stay in use meanwhile. */
const renewBeforeMs = 300_000;
/** Milliseconds before its end from which a session is no longer used. */
const overBeforeMs = 10_000;
/** Minimum milliseconds between attempts to renew a session that is still valid. */
const triesApartMs = 10_000;
/** Milliseconds for which a refusal is cached per credentials: a new permission takes as long to apply. */
const refusedForMs = 3_000;

export interface RoleChainOptions {
  /** The ServiceAccount whose role begins the chain; default: the chain begins with other credentials. */
  webIdentity?: WebIdentity;
  /** May be empty with `webIdentity`. */
  steps: readonly RoleStep[];
  sessionName: string;
  region: string;
  clock: Clock;
  /** Makes a call as the identity, with metrics and classified failures. */
  send: SendCall;
}

/** An instant on both clocks, in milliseconds. */
interface Both {
  wall: number;
  monotonic: number;
}

interface Session {
  credentials: Credentials;
  renewAt: Both;
  overAt: Both;
}

/**
 * The session of a role chain. Concurrent requests share one AssumeRole call per role. The session is renewed before it
 * ends; if that fails, it is used until its end. A refusal is cached for some seconds, per credentials.
 *
 * The SDK's fromTemporaryCredentials does less: it caches nothing, and the clients that cache its result do so each for
 * itself. Two roles and three services then take 6 AssumeRole calls instead of 2. In a session's last five minutes each
 * call assumes the roles again, and fails if STS fails. It caches no refusal, and does not return the session's ARN.
 */
export class RoleChain {
  readonly #options: RoleChainOptions;
  #session: Session | undefined;
  #beginning: Promise<Session> | undefined;
  #triedAt = -Infinity;
  #caller: Caller | undefined;
  #refusal: AwsFailure | undefined;
  /** The access key that was refused, and when the refusal expires, in monotonic milliseconds. */
  #refused: { accessKeyId: string; until: number } | undefined;

  constructor(options: RoleChainOptions) {
    this.#options = options;
  }

  /** The session's principal, from the last successful AssumeRole. */
  get caller(): Caller | undefined {
    return this.#caller;
  }

  /** Why the last attempt to start a session failed. */
  get refusal(): AwsFailure | undefined {
    return this.#refusal;
  }

  /**
   * Returns the session's credentials.
   *
   * @param start returns the credentials for the first role; not called if a ServiceAccount begins the chain
   * @throws AwsFailure of scope `credentials` that names the role, or the error of `start`
   */
  async credentials(start: CredentialProvider): Promise<Credentials> {
    const { clock } = this.#options;
    const session = this.#session;
    // The earlier clock applies: the wall clock may be set back, and the monotonic one stops during suspend.
    const hasPassed = (at: Both) => clock.now() >= at.wall || clock.monotonic() >= at.monotonic;
    if (!session || hasPassed(session.overAt)) return (await this.#begin(start)).credentials;
    if (hasPassed(session.renewAt) && clock.monotonic() - this.#triedAt >= triesApartMs) {
      // The caller uses the current session; a renewal failure matters only when that has ended.
      this.#begin(start).catch(() => {});
    }
    return session.credentials;
  }

  /** The session that signs a call started now; undefined if none is active. */
  get session(): object | undefined {
    return this.#session;
  }

  /** Drops a session that AWS reports as expired, unless another has replaced it. */
  forget(session: object | undefined): void {
    if (this.#session === session) this.#session = undefined;
  }

  #begin(start: CredentialProvider): Promise<Session> {
    this.#triedAt = this.#options.clock.monotonic();
    this.#beginning ??= this.#assume(start).finally(() => {
      this.#beginning = undefined;
    });
    return this.#beginning;
  }

  async #assume(start: CredentialProvider): Promise<Session> {
    const { steps, clock, webIdentity } = this.#options;
    let first = webIdentity ? undefined : await start();
    const accessKeyId = first?.accessKeyId ?? "";
    const isRefused = this.#refused?.accessKeyId === accessKeyId && clock.monotonic() < this.#refused.until;
    if (this.#refusal && isRefused) throw this.#refusal;
    let caller: Caller | undefined;
    const nowByBoth = (): Both => ({ wall: clock.now(), monotonic: clock.monotonic() });
    let [begun, seconds] = [nowByBoth(), sessionSeconds];
    const failed = (error: unknown): never => {
      const isWord = error instanceof AwsFailure && error.next !== "retry";
      this.#refused = isWord ? { accessKeyId, until: clock.monotonic() + refusedForMs } : undefined;
      if (error instanceof AwsFailure) this.#refusal = error;
      throw error;
    };
    if (webIdentity)
      ({ credentials: first, caller } = await assumeWithToken(webIdentity, this.#options, sessionSeconds).catch(
        failed,
      ));
    let credentials = first!;
    let inheritsTags = false;
    for (const [index, step] of steps.entries()) {
      begun = nowByBoth();
      seconds = step.durationSeconds ?? sessionSeconds;
      const from = { credentials, caller: caller?.arn, inheritsTags };
      ({ credentials, caller } = await this.#step(index, step, from).catch(failed));
      inheritsTags ||= (step.transitiveTagKeys ?? []).length > 0;
    }
    this.#caller = caller;
    this.#refusal = undefined;
    this.#refused = undefined;
    // From the requested duration, not from AWS's Expiration: the clocks may differ.
    const after = (ms: number): Both => ({ wall: begun.wall + ms, monotonic: begun.monotonic + ms });
    const overAt = after(seconds * 1_000 - overBeforeMs);
    this.#session = { credentials, overAt, renewAt: after(seconds * 1_000 - renewBeforeMs) };
    return this.#session;
  }

  async #step(
    index: number,
    step: RoleStep,
    {
      credentials,
      caller,
      inheritsTags,
    }: { credentials: Credentials; caller: string | undefined; inheritsTags: boolean },
  ): Promise<Begun> {
    const { sessionName, region, send } = this.#options;
    const { roleArn, externalId, sessionTags = {}, sourceIdentity, durationSeconds = sessionSeconds } = step;
    const { transitiveTagKeys = [] } = step;
    const tags = Object.entries(sessionTags).map(([Key, Value]) => ({ Key, Value }));
    const about: CallContext = {
      ...{ service: "sts", operation: "AssumeRole", region, resource: roleArn },
      ...(caller === undefined ? {} : { caller }),
      assuming: {
        hasTags: tags.length > 0 || inheritsTags,
        hasSourceIdentity: sourceIdentity !== undefined,
        hasExternalId: externalId !== undefined,
      },
    };
    const command = new AssumeRoleCommand({
      RoleArn: roleArn,
      RoleSessionName: sessionName,
      DurationSeconds: durationSeconds,
      ...(externalId === undefined ? {} : { ExternalId: externalId }),
      ...(tags.length === 0 ? {} : { Tags: tags }),
      ...(transitiveTagKeys.length === 0 ? {} : { TransitiveTagKeys: [...transitiveTagKeys] }),
      ...(sourceIdentity === undefined ? {} : { SourceIdentity: sourceIdentity }),
    });
    try {
      const answer = await send(about, undefined, ({ stsAs }, abortSignal) =>
        stsAs(credentials).send(command, { abortSignal }),
      );
      return sessionOf(answer, about);
    } catch (error) {
      throw error instanceof AwsFailure ? ofStep(error, index) : error;
    }
  }
}

/** Widens a failure to scope `credentials` and prefixes it with the field of the role. */
function ofStep({ reason, next, code, requestId, message }: AwsFailure, index: number): AwsFailure {
  const where = `auth.assumeRole[${index}]: ${message}`;
  return new AwsFailure({ reason, next, code, requestId, scope: "credentials", message: where });
}
