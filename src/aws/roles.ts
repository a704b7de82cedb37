import { AssumeRoleCommand } from "@aws-sdk/client-sts";
import type { Clock } from "../runtime/clock.ts";
import type { Caller } from "./caller.ts";
import type { SendCall } from "./calls.ts";
import { invalidAnswer } from "./classify.ts";
import type { CredentialProvider, Credentials } from "./credentials.ts";
import { AwsFailure, type CallContext } from "./failure.ts";

/** One role of a chain, and what is said when it is assumed. */
export interface RoleStep {
  roleArn: string;
  /** Part of no message and no log line. */
  externalId?: string;
  sessionTags?: Readonly<Record<string, string>>;
  sourceIdentity?: string;
  /** Seconds that the session lasts; an hour when left out. */
  durationSeconds?: number;
}

/** Seconds of a session: what AWS allows everywhere, also where a role assumes the next. */
const sessionSeconds = 3_600;
/** Milliseconds before the end of a session at which it is begun anew; what it has serves until that is done. */
const renewBeforeMs = 300_000;
/** Milliseconds before its end from which a session is used no more. */
const overBeforeMs = 10_000;
/** Milliseconds between two tries to begin a session anew while there is one. */
const triesApartMs = 10_000;
/** Milliseconds for which a refusal stands for the same credentials: a permission that was just granted takes as long. */
const refusedForMs = 3_000;

export interface RoleChainOptions {
  steps: readonly RoleStep[];
  sessionName: string;
  region: string;
  clock: Clock;
  /** Makes a call of the identity, measured and with its failures classed. */
  send: SendCall;
}

/** An instant by both clocks, in milliseconds. */
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
 * The session of a chain of roles. It is begun by one call a role at a time, however many ask, and begun anew before it
 * ends; where that fails, it serves until its end. What AWS refuses is not asked for again for some seconds, but with
 * other credentials.
 */
export class RoleChain {
  readonly #options: RoleChainOptions;
  #session: Session | undefined;
  #beginning: Promise<Session> | undefined;
  #triedAt = -Infinity;
  #caller: Caller | undefined;
  #refusal: AwsFailure | undefined;
  /** Whose credentials were refused, and until when, in monotonic milliseconds, that stands. */
  #refused: { accessKeyId: string; until: number } | undefined;

  constructor(options: RoleChainOptions) {
    this.#options = options;
  }

  /** Who the session is, as AWS said when it was last begun. */
  get caller(): Caller | undefined {
    return this.#caller;
  }

  /** Why no session could be begun when that was last tried. */
  get refusal(): AwsFailure | undefined {
    return this.#refusal;
  }

  /**
   * What to sign with.
   *
   * @param start gives what the first role is assumed with
   * @throws AwsFailure of scope `credentials` that names the role, or what `start` throws
   */
  async credentials(start: CredentialProvider): Promise<Credentials> {
    const { clock } = this.#options;
    const session = this.#session;
    // Whichever clock says so first: one may have been set, and the other stands still while a machine is suspended.
    const hasPassed = (at: Both) => clock.now() >= at.wall || clock.monotonic() >= at.monotonic;
    if (!session || hasPassed(session.overAt)) return (await this.#begin(start)).credentials;
    if (hasPassed(session.renewAt) && clock.monotonic() - this.#triedAt >= triesApartMs) {
      // Whoever asks goes on with what there is; a failure is met when that is over.
      this.#begin(start).catch(() => {});
    }
    return session.credentials;
  }

  /** The session that a call which begins now is signed with; undefined where it has to be begun first. */
  get session(): object | undefined {
    return this.#session;
  }

  /** Forgets a session of which AWS says that it has ended; one that has come in its place stays. */
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
    const { steps, clock } = this.#options;
    let credentials = await start();
    const { accessKeyId } = credentials;
    const isRefused = this.#refused?.accessKeyId === accessKeyId && clock.monotonic() < this.#refused.until;
    if (this.#refusal && isRefused) throw this.#refusal;
    let caller: Caller | undefined;
    const nowByBoth = (): Both => ({ wall: clock.now(), monotonic: clock.monotonic() });
    let [begun, seconds] = [nowByBoth(), sessionSeconds];
    for (const [index, step] of steps.entries()) {
      begun = nowByBoth();
      seconds = step.durationSeconds ?? sessionSeconds;
      ({ credentials, caller } = await this.#step(index, step, credentials, caller?.arn).catch((error) => {
        const isWord = error instanceof AwsFailure && error.next !== "retry";
        this.#refused = isWord ? { accessKeyId, until: clock.monotonic() + refusedForMs } : undefined;
        throw error;
      }));
    }
    this.#caller = caller;
    this.#refusal = undefined;
    this.#refused = undefined;
    // By what was asked for, and not by AWS's clock, which may differ from ours.
    const after = (ms: number): Both => ({ wall: begun.wall + ms, monotonic: begun.monotonic + ms });
    const overAt = after(seconds * 1_000 - overBeforeMs);
    this.#session = { credentials, overAt, renewAt: after(seconds * 1_000 - renewBeforeMs) };
    return this.#session;
  }

  async #step(
    index: number,
    step: RoleStep,
    credentials: Credentials,
    caller: string | undefined,
  ): Promise<{ credentials: Credentials; caller: Caller }> {
    const { sessionName, region, send } = this.#options;
    const { roleArn, externalId, sessionTags = {}, sourceIdentity, durationSeconds = sessionSeconds } = step;
    const tags = Object.entries(sessionTags).map(([Key, Value]) => ({ Key, Value }));
    const about: CallContext = {
      ...{ service: "sts", operation: "AssumeRole", region, resource: roleArn },
      ...(caller === undefined ? {} : { caller }),
      assuming: {
        hasTags: tags.length > 0,
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
      ...(sourceIdentity === undefined ? {} : { SourceIdentity: sourceIdentity }),
    });
    try {
      const answer = await send(about, undefined, ({ stsAs }, abortSignal) =>
        stsAs(credentials).send(command, { abortSignal }),
      );
      const { AccessKeyId: accessKeyId, SecretAccessKey: secretAccessKey, SessionToken } = answer.Credentials ?? {};
      const arn = answer.AssumedRoleUser?.Arn ?? "";
      const account = /^arn:[a-z0-9-]+:sts::([0-9]{12}):[\x21-\x7e]{1,2000}$/.exec(arn)?.[1];
      if (!accessKeyId || !secretAccessKey || !SessionToken || !account) {
        throw invalidAnswer(about, "no session");
      }
      return { credentials: { accessKeyId, secretAccessKey, sessionToken: SessionToken }, caller: { account, arn } };
    } catch (error) {
      if (!(error instanceof AwsFailure)) throw error;
      this.#refusal = ofStep(error, index);
      throw this.#refusal;
    }
  }
}

/** A failure as one of everything that is asked with the session, which says at which role it happened. */
function ofStep({ reason, next, code, requestId, message }: AwsFailure, index: number): AwsFailure {
  const where = `auth.assumeRole[${index}]: ${message}`;
  return new AwsFailure({ reason, next, code, requestId, scope: "credentials", message: where });
}
