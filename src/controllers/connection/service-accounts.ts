import PQueue from "p-queue";
import type { WebTokens } from "../../aws/identity-spec.ts";
import { roleAnnotation, stsAudience } from "../../aws/web-identity-denial.ts";
import type { KubeClient } from "../../kube/client/client.ts";
import { KubeError } from "../../kube/errors.ts";
import { serviceAccounts } from "../../kube/resource.ts";
import { type ServiceAccountName, ServiceAccountTokens, serviceAccountKey } from "../../kube/service-account-tokens.ts";
import type { Clock, Random } from "../../runtime/clock.ts";
import { defectOf, internalError } from "../../runtime/defect.ts";
import { Failure } from "../../runtime/failure.ts";
import type { Log } from "../../runtime/log.ts";
import { SingleFlight } from "../../runtime/single-flight.ts";
import { TtlMap } from "../../runtime/ttl-map.ts";

/** The ARN of a ServiceAccount's role, or why it has none. */
export type RoleAnswer = string | Failure;

export interface ServiceAccountsOptions {
  client: Pick<KubeClient, "get" | "requestToken">;
  clock: Clock;
  random: Random;
  log: Log;
  /** Called when the role of a ServiceAccount differs from what `roleOf` last returned, or is known for the first time. */
  changed: (account: ServiceAccountName) => void;
}

/** Milliseconds after which the annotation of a ServiceAccount is read again. */
const againMs = { known: 300_000, failed: 30_000 };
/** Milliseconds for which an answer is kept that nobody asks for. */
const keptMs = 3_600_000;
/** Maximum number of ServiceAccounts whose roles are kept. */
const keptAtMost = 10_000;
/** Maximum number of reads in the background at once. */
const readsAtOnce = 5;

const roleForm = /^arn:aws[a-z-]{0,16}:iam::[0-9]{12}:role\/[A-Za-z0-9+=,.@_/-]{1,600}$/;

interface Known {
  answer: RoleAnswer;
  /** In monotonic milliseconds. */
  againAt: number;
}

/**
 * The roles and tokens of the ServiceAccounts that connections name. A ServiceAccount is read when it is needed, and is
 * never watched: a watch of all ServiceAccounts would need more permissions and memory.
 */
export class ServiceAccounts {
  readonly #options: ServiceAccountsOptions;
  readonly #known: TtlMap<string, Known>;
  readonly #tokens: ServiceAccountTokens;
  readonly #reads = new SingleFlight<RoleAnswer>();
  readonly #background = new PQueue({ concurrency: readsAtOnce });
  /** By the key of a connection: the ServiceAccounts that it uses. */
  readonly #users = new Map<string, ReadonlySet<string>>();

  constructor(options: ServiceAccountsOptions) {
    const { client, clock, random } = options;
    this.#options = options;
    this.#known = new TtlMap({ clock, ttlMs: keptMs, maxSize: keptAtMost });
    this.#tokens = new ServiceAccountTokens({ client, clock, random, audience: stsAudience });
  }

  /** The number of tokens that are kept. */
  get tokenCount(): number {
    return this.#tokens.size;
  }

  /**
   * The role of a ServiceAccount as far as it is known without waiting; undefined before the first answer. A read in the
   * background follows if there is no recent answer.
   */
  roleOf(account: ServiceAccountName): RoleAnswer | undefined {
    const known = this.#known.get(serviceAccountKey(account));
    if (!known || this.#options.clock.monotonic() >= known.againAt) void this.#background.add(() => this.read(account));
    return known?.answer;
  }

  /** Resolves when no read in the background is waiting or under way. */
  whenRead(): Promise<void> {
    return this.#background.onIdle();
  }

  /** Reads the role of a ServiceAccount now. Never rejects. */
  read(account: ServiceAccountName): Promise<RoleAnswer> {
    const key = serviceAccountKey(account);
    return this.#reads.run(async () => {
      const before = this.#known.get(key);
      let answer: RoleAnswer = await this.#role(account);
      const isSilence = answer instanceof Failure && answer.next === "retry";
      // While the API server does not answer, the role that was read last applies.
      if (isSilence && typeof before?.answer === "string") answer = before.answer;
      const ms = typeof answer === "string" && !isSilence ? againMs.known : againMs.failed;
      this.#known.set(key, { answer, againAt: this.#options.clock.monotonic() + ms });
      if (!isEqual(before?.answer, answer)) this.#options.changed(account);
      return answer;
    }, key);
  }

  /** The tokens of a ServiceAccount, for AWS STS. @param roleArn for messages */
  tokensOf(account: ServiceAccountName, roleArn: string): WebTokens {
    return {
      token: () =>
        this.#tokens.token(account).catch((error: unknown) => {
          throw error instanceof KubeError ? tokenRefused(error, account, roleArn) : error;
        }),
      refused: (token) => this.#tokens.forget(account, token),
    };
  }

  /**
   * Takes the ServiceAccounts that a connection uses. What no connection uses any more is dropped.
   *
   * @param connectionKey as from `connectionKey`
   */
  keepFor(connectionKey: string, accounts: readonly ServiceAccountName[]): void {
    const before = this.#users.get(connectionKey) ?? new Set<string>();
    const now = new Set(accounts.map(serviceAccountKey));
    if (now.size > 0) this.#users.set(connectionKey, now);
    else this.#users.delete(connectionKey);
    for (const key of before) {
      if ([...this.#users.values()].some((used) => used.has(key))) continue;
      const [namespace, name] = key.split("/") as [string, string];
      this.#known.delete(key);
      this.#tokens.release({ namespace, name });
    }
  }

  /** Drops all tokens. */
  stop(): void {
    this.#background.clear();
    this.#tokens.clear();
  }

  #defect(serviceAccount: string, error: unknown): Failure {
    const defect = defectOf(error);
    this.#options.log.error({ serviceAccount, ...defect }, "the operator itself failed on a ServiceAccount, retrying");
    return internalError(defect);
  }

  async #role(account: ServiceAccountName): Promise<RoleAnswer> {
    const where = serviceAccountKey(account);
    try {
      const { namespace, name } = account;
      const { metadata } = await this.#options.client.get(serviceAccounts, namespace, name, { metadataOnly: true });
      const role = metadata.annotations?.[roleAnnotation]?.trim();
      if (!role) {
        const message = `ServiceAccount ${where} has no annotation ${roleAnnotation}: set it to the ARN of the role that the ServiceAccount may assume`;
        return new Failure("ConnectionNotReady", "wait", message);
      }
      if (roleForm.test(role)) return role;
      const message = `the annotation ${roleAnnotation} of ServiceAccount ${where} is not the ARN of a role, such as arn:aws:iam::123456789012:role/checkout: correct it`;
      return new Failure("ConnectionNotReady", "wait", message);
    } catch (error) {
      if (!(error instanceof KubeError)) return this.#defect(where, error);
      return roleUnread(error, where);
    }
  }
}

function roleUnread(error: KubeError, where: string): Failure {
  if (error.kind === "notFound") return missing(where);
  if (error.kind === "forbidden") {
    const message = `the operator may not get ServiceAccount ${where}: RBAC must allow it the verb get on the resource serviceaccounts in that namespace (the chart's rule for ServiceAccount tokens)`;
    return new Failure("AccessDenied", "wait", message);
  }
  const message = `ServiceAccount ${where} cannot be read, because the API server does not answer as expected; it is tried again by itself`;
  return new Failure("ConnectionNotReady", "retry", message);
}

function tokenRefused(error: KubeError, account: ServiceAccountName, roleArn: string): Failure {
  const where = serviceAccountKey(account);
  if (error.kind === "notFound") return missing(where);
  if (error.kind === "forbidden") {
    const message = `the operator may not request a token of ServiceAccount ${where} for ${roleArn}: RBAC must allow it the verb create on the resource serviceaccounts/token in that namespace (the chart's rule for ServiceAccount tokens)`;
    return new Failure("AccessDenied", "wait", message);
  }
  if (error.kind === "denied" || error.kind === "invalid" || error.kind === "badRequest") {
    const message = `the API server refuses a token of ServiceAccount ${where} with the audience ${stsAudience} for ${roleArn}: check its admission policies and webhooks for serviceaccounts/token`;
    return new Failure("ConnectionNotReady", "wait", message);
  }
  const message = `no token of ServiceAccount ${where} for ${roleArn}: the API server does not answer as expected; it is tried again by itself`;
  return new Failure("ConnectionNotReady", "retry", message);
}

function missing(where: string): Failure {
  const message = `ServiceAccount ${where}, which auth.serviceAccountRef of the connection names, does not exist: create it with the annotation ${roleAnnotation}`;
  return new Failure("ConnectionNotReady", "wait", message);
}

function isEqual(before: RoleAnswer | undefined, after: RoleAnswer): boolean {
  if (before instanceof Failure && after instanceof Failure) return before.message === after.message;
  return before === after;
}
