import { createHash } from "node:crypto";
import type { Metrics } from "../metrics/metrics.ts";
import type { Clock, Timer } from "../runtime/clock.ts";
import type { Log } from "../runtime/log.ts";
import type { Proxies } from "../runtime/proxies.ts";
import type { Sealed } from "../runtime/sealed.ts";
import { type Caller, Callers } from "./caller.ts";
import { type SendCall, sender } from "./calls.ts";
import { Closed, classify } from "./classify.ts";
import { type ClientSettings, type Clients, makeClients } from "./clients.ts";
import { type CredentialProvider, credentialsOf } from "./credentials.ts";
import { checkEndpoint, type Lookup } from "./endpoints.ts";
import { type SqsPort, sqsPort } from "./events/sqs.ts";
import type { AwsFailure, CallContext } from "./failure.ts";
import { accountOfSpec, type IdentitySpec } from "./identity-spec.ts";
import { type KmsPort, kmsCalls, kmsPort } from "./kms.ts";
import { RoleChain } from "./roles.ts";
import { sessionName } from "./session-name.ts";
import { type SsmPort, ssmCalls, ssmPort } from "./ssm.ts";

/** An AWS principal in one region. Stays usable for as long as it is referenced. */
export interface Identity {
  /** A digest of the spec: equal for equal specs, and reveals no secret. */
  readonly key: string;
  readonly region: string;
  /** The AWS account of the identity's last role; undefined without a role, where only AWS knows it. */
  readonly account?: string | undefined;
  /**
   * Returns the principal by sts:GetCallerIdentity; cached until the credentials change.
   *
   * @throws AwsFailure which is not cached
   */
  caller(signal?: AbortSignal): Promise<Caller>;
  /** The last known principal; undefined before the first answer. */
  readonly lastCaller?: Caller | undefined;
  /** Why the last attempt to assume the role failed; undefined if it succeeded or no attempt was made. */
  readonly refusal?: AwsFailure | undefined;
  readonly ssm: SsmPort;
  readonly kms: KmsPort;
  readonly sqs: SqsPort;
}

export interface IdentitiesOptions {
  clock: Clock;
  metrics: Metrics;
  log: Log;
  /** Whether an endpoint may use plain http or a loopback address. */
  allowInsecureEndpoints: boolean;
  /** From `awsUserAgent`. */
  userAgent: string;
  /** The cluster's name in session names; default: empty, which omits it. */
  clusterName?: string;
  /** Maximum number of identities with open clients and sockets; default 1,000. */
  maxIdentities?: number;
  /** Milliseconds without a call after which an identity's clients are destroyed; default 10 minutes. */
  idleMs?: number;
  /** Connect timeout in milliseconds; default 3 s. */
  connectTimeoutMs?: number;
  /** Timeout of one call in milliseconds, including the body; default 10 s. */
  callTimeoutMs?: number;
  /** DNS lookup; default: the system's. */
  lookup?: Lookup;
  /** The proxies of the environment; default none. */
  proxies?: Proxies;
}

/** The identities in use. Equal specs share one identity, whose SDK clients are created at its first call. */
export class Identities {
  readonly #options: IdentitiesOptions;
  readonly #settings: ClientSettings;
  /** By key, least recently used first. */
  readonly #members = new Map<string, Member>();
  #isStopped = false;
  #isClosed = false;

  constructor(options: IdentitiesOptions) {
    this.#options = options;
    const { allowInsecureEndpoints, userAgent, connectTimeoutMs = 3_000, callTimeoutMs = 10_000 } = options;
    const { lookup, proxies } = options;
    this.#settings = {
      allowInsecureEndpoints,
      userAgent,
      connectTimeoutMs,
      callTimeoutMs,
      ...(lookup ? { lookup } : {}),
      ...(proxies ? { proxies } : {}),
    };
  }

  /** The number of identities that may have open clients. */
  get size(): number {
    return this.#members.size;
  }

  /** @throws Failure if an endpoint of the spec is not allowed */
  get(spec: IdentitySpec): Identity {
    for (const [service, url] of Object.entries(spec.endpoints ?? {})) {
      if (url !== undefined) checkEndpoint(service, url, this.#options.allowInsecureEndpoints);
    }
    const key = keyOf(spec);
    const member = this.#members.get(key) ?? this.#make(key, spec);
    this.#touch(member);
    return member.identity;
  }

  /** Rejects every new call with an AwsFailure, but those that hand queue messages on. Calls in flight may finish. */
  stop(): void {
    this.#isStopped = true;
  }

  /** Stops and destroys every client: calls in flight fail. */
  close(): void {
    this.stop();
    this.#isClosed = true;
    for (const member of this.#members.values()) this.#drop(member, true);
  }

  #make(key: string, spec: IdentitySpec): Member {
    const { clock, metrics, log, clusterName = "" } = this.#options;
    const { callTimeoutMs } = this.#settings;
    const name = sessionName(clusterName, spec.namespace);
    // All namespaces share the operator's own session, so its name has no namespace.
    const start = credentialsOf(spec.credentials, spec.region, sessionName(clusterName), this.#settings.proxies);
    const borrow = async <T>(use: (clients: Clients) => Promise<T>, { afterStop = false } = {}): Promise<T> => {
      if (this.#isClosed || (this.#isStopped && !afterStop)) throw new Closed();
      this.#touch(member);
      member.clients ??= makeClients(spec, this.#settings, roles ? inRole(roles, start) : start);
      const { clients } = member;
      member.calls += 1;
      try {
        return await use(clients);
      } finally {
        member.calls -= 1;
        if (member.calls === 0 && this.#members.get(key) !== member) this.#drop(member, true);
      }
    };
    const calls = { borrow, clock, metrics, log, caller: () => callers.known?.arn ?? roles?.caller?.arn };
    const begins = () => {
      const session = roles?.session;
      return ({ code }: AwsFailure) => {
        if (/^ExpiredToken(Exception)?$/.test(code)) roles?.forget(session);
      };
    };
    const send: SendCall = sender({ ...calls, callTimeoutMs, begins });
    // Half of the waiting call's timeout, so that the failure names the call that AWS did not answer.
    const assume: SendCall = sender({ ...calls, callTimeoutMs: callTimeoutMs / 2, caller: () => undefined });
    const { assumeRole: steps = [], credentials } = spec;
    const webIdentity = credentials.kind === "webIdentity" ? credentials : undefined;
    const roles =
      steps.length === 0 && !webIdentity
        ? undefined
        : new RoleChain({
            ...{ steps, sessionName: name, region: spec.region, clock, send: assume },
            ...(webIdentity ? { webIdentity } : {}),
          });
    const accessKeyId = async (about: CallContext) => {
      try {
        return await borrow(async ({ credentials }) => (await credentials()).accessKeyId);
      } catch (error) {
        throw classify(error, about);
      }
    };
    const callers = new Callers(spec.region, send, accessKeyId);
    const identity: Identity = {
      key,
      region: spec.region,
      account: accountOfSpec(spec),
      caller: (signal) => callers.caller(signal),
      get lastCaller() {
        return callers.known ?? roles?.caller;
      },
      get refusal() {
        return roles?.refusal;
      },
      ssm: ssmPort(ssmCalls(send, spec.region)),
      kms: kmsPort(kmsCalls(send, spec.region)),
      sqs: sqsPort(send, spec.region),
    };
    const member: Member = { key, identity, calls: 0, clients: undefined, idle: undefined };
    return member;
  }

  /** Marks a member as most recently used, and evicts the least recently used above `maxIdentities`. */
  #touch(member: Member): void {
    const { clock, maxIdentities = 1_000, idleMs = 600_000 } = this.#options;
    member.idle?.cancel();
    const other = this.#members.get(member.key);
    if (other && other !== member) this.#drop(other, false);
    this.#members.delete(member.key);
    this.#members.set(member.key, member);
    member.idle = clock.setTimer(() => this.#retire(member), idleMs);
    while (this.#members.size > maxIdentities) this.#drop(this.#members.values().next().value!, false);
  }

  #retire(member: Member): void {
    if (member.calls > 0) this.#touch(member);
    else this.#drop(member, true);
  }

  /** Destroys a member's clients: immediately with `now`, otherwise when its last call ends. */
  #drop(member: Member, now: boolean): void {
    member.idle?.cancel();
    if (this.#members.get(member.key) === member) this.#members.delete(member.key);
    if (!now && member.calls > 0) return;
    member.clients?.destroy();
    member.clients = undefined;
  }
}

interface Member {
  key: string;
  identity: Identity;
  /** Calls in flight. */
  calls: number;
  clients: Clients | undefined;
  idle: Timer | undefined;
}

/** Returns the chain's session credentials as expired, so that the SDK asks at every call: the chain caches them. */
function inRole(roles: RoleChain, start: CredentialProvider): CredentialProvider {
  return async () => ({ ...(await roles.credentials(start)), expiration: new Date(0) });
}

/** Digests everything that distinguishes identities, as a JSON array, so that different specs never collide. */
function keyOf(spec: IdentitySpec): string {
  const { region, credentials, assumeRole = [], namespace = "", endpoints = {} } = spec;
  const { useFIPS = false, useDualStack = false } = spec;
  const sealed = (value: Sealed | undefined) =>
    value ? createHash("sha256").update(value.reveal()).digest("hex") : "";
  const who =
    credentials.kind === "default"
      ? ["default"]
      : credentials.kind === "webIdentity"
        ? ["webIdentity", credentials.serviceAccount, credentials.roleArn]
        : ["static", credentials.accessKeyId, sealed(credentials.secretAccessKey), sealed(credentials.sessionToken)];
  const roles = assumeRole.map(
    ({ roleArn, externalId = "", sessionTags = {}, transitiveTagKeys = [], sourceIdentity = "", durationSeconds }) => [
      ...[roleArn, externalId, Object.entries(sessionTags).sort(), sourceIdentity, durationSeconds ?? 0],
      ...[...transitiveTagKeys].sort(),
    ],
  );
  const { ssm = "", kms = "", sts = "", sqs = "" } = endpoints;
  const where = [ssm, kms, sts, sqs, useFIPS, useDualStack];
  return createHash("sha256")
    .update(JSON.stringify([region, who, roles, namespace, where]))
    .digest("hex")
    .slice(0, 32);
}
