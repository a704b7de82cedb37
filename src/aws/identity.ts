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
import type { AwsFailure, CallContext } from "./failure.ts";
import { type KmsPort, kmsPort } from "./kms.ts";
import { RoleChain, type RoleStep } from "./roles.ts";
import { sessionName } from "./session-name.ts";
import { type SqsPort, sqsPort } from "./sqs.ts";
import { type SsmPort, ssmPort } from "./ssm.ts";

/** Where credentials come from: the SDK's own chain (the operator's identity), or keys that do not change. */
export type CredentialSource =
  | { kind: "default" }
  | { kind: "static"; accessKeyId: string; secretAccessKey: Sealed; sessionToken?: Sealed };

/** What makes an identity: who calls, and where. */
export interface IdentitySpec {
  region: string;
  credentials: CredentialSource;
  /** Roles that are assumed one after another, the first with `credentials`. */
  assumeRole?: readonly RoleStep[];
  /** The namespace whose own identity it is: part of its sessions' name. */
  namespace?: string;
  /** In the place of AWS's own: a VPC endpoint or an emulator. */
  endpoints?: { ssm?: string; kms?: string; sts?: string; sqs?: string };
  useFIPS?: boolean;
  useDualStack?: boolean;
}

/** Somebody who calls AWS in one region. Stays usable for as long as it is held. */
export interface Identity {
  /** Equal for equal specs; a digest, from which no secret can be had. */
  readonly key: string;
  readonly region: string;
  /**
   * Who AWS says this is, by sts:GetCallerIdentity; remembered until the credentials change.
   *
   * @throws AwsFailure which is not remembered
   */
  caller(signal?: AbortSignal): Promise<Caller>;
  /** Who it was when AWS was last asked; undefined before. */
  readonly lastCaller?: Caller | undefined;
  /** Why its role could not be assumed when that was last tried; undefined where it could, or nobody has tried. */
  readonly refusal?: AwsFailure | undefined;
  readonly ssm: SsmPort;
  readonly kms: KmsPort;
  readonly sqs: SqsPort;
}

export interface IdentitiesOptions {
  clock: Clock;
  metrics: Metrics;
  log: Log;
  /** Whether an endpoint may be plain http, or this machine. */
  allowInsecureEndpoints: boolean;
  /** As `awsUserAgent` makes it. */
  userAgent: string;
  /** What the cluster is called in the names of sessions; empty, and so left out, by default. */
  clusterName?: string;
  /** Identities that may have clients, and so sockets, at one time; 1,000. */
  maxIdentities?: number;
  /** Milliseconds without a call after which an identity's clients are destroyed; 10 minutes. */
  idleMs?: number;
  /** Milliseconds to connect; 3 s. */
  connectTimeoutMs?: number;
  /** Milliseconds of one call, body and all; 10 s. */
  callTimeoutMs?: number;
  /** How host names are looked up; the system's way. */
  lookup?: Lookup;
  /** The proxies of the environment; none when left out. */
  proxies?: Proxies;
}

/** The identities in use: equal specs are one, each with one set of SDK clients, made at its first call. */
export class Identities {
  readonly #options: IdentitiesOptions;
  readonly #settings: ClientSettings;
  /** By key, the least recently used first. */
  readonly #members = new Map<string, Member>();
  #isStopped = false;

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

  /** Sockets and clients are there for so many identities. */
  get size(): number {
    return this.#members.size;
  }

  /** @throws Failure where an endpoint of the spec is not allowed */
  get(spec: IdentitySpec): Identity {
    for (const [service, url] of Object.entries(spec.endpoints ?? {})) {
      if (url !== undefined) checkEndpoint(service, url, this.#options.allowInsecureEndpoints);
    }
    const key = keyOf(spec);
    const member = this.#members.get(key) ?? this.#make(key, spec);
    this.#touch(member);
    return member.identity;
  }

  /** Begins no call any more, to no service: each is an AwsFailure. Calls that are under way may end. */
  stop(): void {
    this.#isStopped = true;
  }

  /** Stops, and destroys every client: calls that are under way fail. */
  close(): void {
    this.stop();
    for (const member of this.#members.values()) this.#drop(member, true);
  }

  #make(key: string, spec: IdentitySpec): Member {
    const { clock, metrics, log, clusterName = "" } = this.#options;
    const { callTimeoutMs } = this.#settings;
    const name = sessionName(clusterName, spec.namespace);
    // The operator's own session is one for all, whichever namespace asks first.
    const start = credentialsOf(spec.credentials, spec.region, sessionName(clusterName), this.#settings.proxies);
    const borrow = async <T>(use: (clients: Clients) => Promise<T>): Promise<T> => {
      if (this.#isStopped) throw new Closed();
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
    // Half of the time that the call has which waits for it, so that it is known which of them was not answered.
    const assume: SendCall = sender({ ...calls, callTimeoutMs: callTimeoutMs / 2, caller: () => undefined });
    const steps = spec.assumeRole ?? [];
    const roles =
      steps.length === 0
        ? undefined
        : new RoleChain({ steps, sessionName: name, region: spec.region, clock, send: assume });
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
      caller: (signal) => callers.caller(signal),
      get lastCaller() {
        return callers.known ?? roles?.caller;
      },
      get refusal() {
        return roles?.refusal;
      },
      ssm: ssmPort(send, spec.region),
      kms: kmsPort(send, spec.region),
      sqs: sqsPort(send, spec.region),
    };
    const member: Member = { key, identity, calls: 0, clients: undefined, idle: undefined };
    return member;
  }

  /** Makes a member the most recently used, and the least recently used give way where there are too many. */
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

  /** Lets go of a member's clients: at once with `now`, else when its last call has ended. */
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
  /** Calls under way. */
  calls: number;
  clients: Clients | undefined;
  idle: Timer | undefined;
}

/** Gives the credentials of a chain's session, under an expiry that has the SDK ask at every call: the chain remembers. */
function inRole(roles: RoleChain, start: CredentialProvider): CredentialProvider {
  return async () => ({ ...(await roles.credentials(start)), expiration: new Date(0) });
}

/** The digest of everything that distinguishes identities; a JSON array, so that no two specs read alike. */
function keyOf(spec: IdentitySpec): string {
  const { region, credentials, assumeRole = [], namespace = "", endpoints = {} } = spec;
  const { useFIPS = false, useDualStack = false } = spec;
  const sealed = (value: Sealed | undefined) =>
    value ? createHash("sha256").update(value.reveal()).digest("hex") : "";
  const who =
    credentials.kind === "default"
      ? ["default"]
      : ["static", credentials.accessKeyId, sealed(credentials.secretAccessKey), sealed(credentials.sessionToken)];
  const roles = assumeRole.map(
    ({ roleArn, externalId = "", sessionTags = {}, sourceIdentity = "", durationSeconds }) => [
      ...[roleArn, externalId, Object.entries(sessionTags).sort(), sourceIdentity, durationSeconds ?? 0],
    ],
  );
  const { ssm = "", kms = "", sts = "", sqs = "" } = endpoints;
  const where = [ssm, kms, sts, sqs, useFIPS, useDualStack];
  return createHash("sha256")
    .update(JSON.stringify([region, who, roles, namespace, where]))
    .digest("hex")
    .slice(0, 32);
}
