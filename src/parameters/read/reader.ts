import { isAnswerTo } from "../../aws/answers.ts";
import { AwsFailure, answerTooLong, type FailureScope } from "../../aws/failure.ts";
import type { Identity } from "../../aws/identity.ts";
import type { RateLimiters } from "../../aws/ratelimit/limiters.ts";
import type { ParameterRecord } from "../../aws/ssm.ts";
import { tryAgain } from "../../aws/table.ts";
import { callAttributes } from "../../aws/traced.ts";
import { Canceled, type IsWanted, Waiters } from "../../runtime/cancellation.ts";
import { Failure } from "../../runtime/failure.ts";
import { type Lane, moreUrgent } from "../../runtime/lane.ts";
import { joinSpans, noSpan, type Span, traced } from "../../runtime/tracing.ts";
import { type PendingRead, PendingReads, type Read } from "./pending-reads.ts";
import { isPassedThrough, namesInACall } from "./reference.ts";

export interface ReadOptions {
  /** False: no value is returned and KMS is not used. */
  decrypt: boolean;
  lane: Lane;
  /** The namespace that the read is for: within a lane, namespaces take turns. */
  namespace?: string;
  /**
   * Confirms the state of a parameter that existed. Does not join reads with decryption, which its KMS key may deny. If
   * AWS calls the name invalid, does not ask why. Only for a name without selector.
   */
  confirms?: boolean;
  /** A read that nobody wants when it is about to be sent is canceled. Always wanted by default. */
  isWanted?: IsWanted | undefined;
  /** The caller's span. The call is a step of it, if the read has not been sent yet. */
  span?: Span | undefined;
}

/** The pending reads of one identity, and what is remembered of its names. */
class Mailbox {
  readonly identity: Identity;
  /** Separate queues with and without decryption: a poll must not use KMS. */
  readonly waiting = { decrypted: new PendingReads(), plain: new PendingReads() };
  /** Pending reads of poison names, each in a call of its own; by kind, then name. */
  readonly alone = { decrypted: new Map<string, PendingRead>(), plain: new Map<string, PendingRead>() };
  /** Calls that wait for quota, by kind and lane. */
  readonly calls = { decrypted: new Map<Lane, number>(), plain: new Map<Lane, number>() };
  /** Calls that wait or are in flight. */
  open = 0;
  /** Names that made a whole call fail: read alone until AWS answers for them. */
  readonly poison = new Set<string>();
  /** Names of the last call that failed with a server error. If they fail again, one of them may be the cause. */
  readonly suspects = new Set<string>();
  /** Why AWS calls a name invalid: found out once, by one GetParameter. */
  readonly missing = new Map<string, "ParameterNotFound" | "VersionNotFound">();

  constructor(identity: Identity) {
    this.identity = identity;
  }

  get isEmpty(): boolean {
    return this.poison.size + this.suspects.size + this.missing.size + this.open === 0;
  }
}

type Kind = "decrypted" | "plain";
type Answer = { found: readonly ParameterRecord[]; invalid: readonly string[]; requestId?: string };

/** The lane and namespace that a call is queued under. */
type For = Pick<PendingRead, "lane" | "namespace">;

/**
 * Reads parameters in calls of ten names. A call is formed only when the quota grants it, so that it includes names
 * requested meanwhile. Equal pending reads share one read.
 */
export class Reader {
  readonly #limiters: RateLimiters;
  readonly #mailboxes = new Map<string, Mailbox>();

  constructor(limiters: RateLimiters) {
    this.#limiters = limiters;
  }

  /**
   * Reads one parameter.
   *
   * @param name with its selector, as GetParameters takes it
   * @returns a failure is a state; only rejects with Canceled, if nobody wants the read any more
   */
  read(identity: Identity, name: string, options: ReadOptions): Promise<Read> {
    const { lane, namespace = "", confirms = false, isWanted, span = noSpan } = options;
    // AWS returns Secrets Manager secrets only with decryption, so a look at one decrypts too.
    const decrypt = options.decrypt || isPassedThrough(name);
    const mailbox = this.#mailbox(identity);
    const waiting = this.#join(mailbox, name, { decrypt, lane, namespace, confirms, span });
    if (waiting) {
      waiting.asksWhy ||= !confirms;
      waiting.waiters.join(isWanted);
      return waiting.answer;
    }
    const { promise: answer, resolve, reject } = Promise.withResolvers<Read>();
    const cancel = () => reject(new Canceled());
    const waiters = new Waiters(isWanted);
    const pendingRead: PendingRead = {
      name,
      decrypt,
      lane,
      asksWhy: !confirms,
      namespace,
      waiters,
      span,
      answer,
      resolve,
      cancel,
    };
    if (mailbox.poison.has(name)) {
      this.#sendAlone(mailbox, pendingRead);
    } else {
      const kind = decrypt ? "decrypted" : "plain";
      mailbox.waiting[kind].add(pendingRead, namespace);
      this.#queueCalls(mailbox, kind, lane, namespace);
    }
    return answer;
  }

  /** Raises a pending read of the name to the given lane, if there is one. */
  hurry(identity: Identity, name: string, options: ReadOptions): void {
    const mailbox = this.#mailboxes.get(identity.key);
    if (mailbox) this.#join(mailbox, name, options);
  }

  /** Confirms that a parameter is missing: reads one name by GetParameter, without decryption. */
  async confirm(
    identity: Identity,
    name: string,
    lane: Lane,
    turn: Pick<ReadOptions, "namespace" | "isWanted"> = {},
  ): Promise<Read> {
    try {
      const permit = await this.#limiters.acquire({ service: "ssm", identity, lane, ...turn });
      const record = await identity.ssm.getParameter(permit, name, { decrypt: isPassedThrough(name) });
      this.#mailboxes.get(identity.key)?.missing.delete(name);
      return foundAs(identity, name, record);
    } catch (error) {
      return notFoundOrFailed(error);
    }
  }

  /** Drops what is remembered of a name without dependents. */
  forget(identity: Identity, name: string): void {
    const mailbox = this.#mailboxes.get(identity.key);
    if (!mailbox) return;
    mailbox.poison.delete(name);
    mailbox.suspects.delete(name);
    mailbox.missing.delete(name);
    this.#dropIfEmpty(mailbox);
  }

  #mailbox(identity: Identity): Mailbox {
    let mailbox = this.#mailboxes.get(identity.key);
    if (!mailbox) {
      mailbox = new Mailbox(identity);
      this.#mailboxes.set(identity.key, mailbox);
    }
    return mailbox;
  }

  /** The pending read that will also answer these options, raised to the more urgent of both lanes. */
  #join(mailbox: Mailbox, name: string, options: ReadOptions): PendingRead | undefined {
    const { decrypt, lane, namespace = "", confirms = false, span = noSpan } = options;
    const kinds: Kind[] = decrypt ? ["decrypted"] : confirms ? ["plain"] : ["decrypted", "plain"];
    for (const kind of kinds) {
      const alone = mailbox.alone[kind].get(name);
      if (alone) {
        alone.span = joinSpans([alone.span, span]);
        if (moreUrgent(alone.lane, lane) !== alone.lane) this.#sendAlone(mailbox, Object.assign(alone, { lane }));
        return alone;
      }
      const pendingReads = mailbox.waiting[kind];
      const waiting = pendingReads.get(name);
      if (!waiting) continue;
      waiting.span = joinSpans([waiting.span, span]);
      if (pendingReads.hurry(waiting, lane, namespace)) this.#queueCalls(mailbox, kind, lane, namespace);
      return waiting;
    }
    return undefined;
  }

  /** Queues as many calls in a lane as its pending reads fill. */
  #queueCalls(mailbox: Mailbox, kind: Kind, lane: Lane, namespace: string): void {
    const calls = mailbox.calls[kind];
    const needed = Math.ceil(mailbox.waiting[kind].depth(lane) / namesInACall);
    for (let queued = calls.get(lane) ?? 0; queued < needed; queued++) {
      calls.set(lane, queued + 1);
      void this.#send(mailbox, { lane, namespace }, () => {
        calls.set(lane, calls.get(lane)! - 1);
        return this.#take(mailbox, kind, lane);
      });
    }
  }

  /** Takes the names of the next call. A name that became poison meanwhile gets a call of its own. */
  #take(mailbox: Mailbox, kind: Kind, lane: Lane): PendingRead[] {
    const batch: PendingRead[] = [];
    while (batch.length < namesInACall) {
      const pendingRead = mailbox.waiting[kind].take(lane);
      if (!pendingRead) break;
      if (!pendingRead.waiters.isWanted()) pendingRead.cancel();
      else if (mailbox.poison.has(pendingRead.name)) this.#sendAlone(mailbox, pendingRead);
      else batch.push(pendingRead);
    }
    return batch;
  }

  #sendAlone(mailbox: Mailbox, pendingRead: PendingRead): void {
    const alone = mailbox.alone[pendingRead.decrypt ? "decrypted" : "plain"];
    alone.set(pendingRead.name, pendingRead);
    void this.#send(mailbox, pendingRead, () => {
      // A read that moved to another lane has two calls; the first answers it.
      return alone.get(pendingRead.name) === pendingRead && alone.delete(pendingRead.name) ? [pendingRead] : [];
    });
  }

  /**
   * Sends one GetParameters call. If the whole call may have failed by one name, it is halved until that name is alone.
   * The mailbox is kept while one of its calls is open.
   *
   * @param pendingReads a batch, or a function that takes it when the quota grants the call
   */
  async #send(
    mailbox: Mailbox,
    { lane, namespace }: For,
    pendingReads: PendingRead[] | (() => PendingRead[]),
  ): Promise<void> {
    const { identity } = mailbox;
    let batch = Array.isArray(pendingReads) ? pendingReads : undefined;
    mailbox.open += 1;
    const isWanted = () => batch?.some(({ waiters }) => waiters.isWanted()) ?? true;
    try {
      const permit = await this.#limiters.acquire({ service: "ssm", identity, lane, namespace, isWanted });
      batch = wanted(batch ?? (pendingReads as () => PendingRead[])());
      if (batch.length === 0) return permit.giveBack();
      const names = () => {
        batch = wanted(batch!);
        if (batch.length === 0) throw new Canceled();
        return namesOf(batch);
      };
      const { decrypt } = batch[0]!;
      const span = joinSpans(batch.map((pendingRead) => pendingRead.span));
      const about = { ...callAttributes(identity), "keyferry.parameter.count": batch.length };
      const answer = await traced(span, "ssm GetParameters", about, () =>
        identity.ssm.getParameters(permit, names, { decrypt }),
      );
      await this.#answered(mailbox, batch, answer);
    } catch (error) {
      // At shutdown a queued call is rejected before it has taken its batch.
      batch ??= (pendingReads as () => PendingRead[])();
      if (error instanceof Canceled) for (const pendingRead of batch) pendingRead.cancel();
      else await this.#failed(mailbox, batch, asFailure(error));
    } finally {
      mailbox.open -= 1;
      this.#dropIfEmpty(mailbox);
    }
  }

  #dropIfEmpty(mailbox: Mailbox): void {
    if (mailbox.isEmpty) this.#mailboxes.delete(mailbox.identity.key);
  }

  async #answered(mailbox: Mailbox, batch: PendingRead[], { found, invalid, requestId }: Answer): Promise<void> {
    const unanswered: PendingRead[] = [];
    for (const pendingRead of batch) {
      const record = recordFor(pendingRead.name, batch, { found, invalid });
      mailbox.poison.delete(pendingRead.name);
      mailbox.suspects.delete(pendingRead.name);
      if (!record) {
        unanswered.push(pendingRead);
        continue;
      }
      mailbox.missing.delete(pendingRead.name);
      pendingRead.resolve({ state: "found", record });
    }
    await Promise.all(
      unanswered.map(async (pendingRead) => {
        // A confirmation needs an explicit answer: one that leaves the name out proves nothing.
        if (pendingRead.asksWhy || invalid.includes(pendingRead.name))
          return this.#findOut(mailbox, pendingRead, requestId);
        pendingRead.resolve({ state: "failed", failure: notAsked(mailbox.identity, pendingRead.name) });
      }),
    );
  }

  async #failed(mailbox: Mailbox, batch: PendingRead[], failure: Failure): Promise<void> {
    const names = namesOf(batch);
    const scope = scopeOf(failure);
    const isAgain = names.every((name) => mailbox.suspects.has(name));
    if (scope === "server") for (const name of names) mailbox.suspects.add(name);
    const mayBeOneName =
      isTooLong(failure) || (scope === "server" ? isAgain : scope === "call" && failure.next !== "retry");
    if (!mayBeOneName) {
      for (const pendingRead of batch) pendingRead.resolve({ state: "failed", failure });
    } else if (batch.length === 1) {
      mailbox.poison.add(names[0]!);
      batch[0]!.resolve({ state: "failed", failure });
    } else {
      const middle = batch.length >> 1;
      // A call may mix lanes; each half takes the lane of its most urgent read.
      const halves = [batch.slice(0, middle), batch.slice(middle)];
      await Promise.all(
        halves.map((half) => {
          const lane = half.map((pendingRead) => pendingRead.lane).reduce(moreUrgent);
          return this.#send(mailbox, { lane, namespace: half[0]!.namespace }, half);
        }),
      );
    }
  }

  /** Finds out by GetParameter why GetParameters calls a name invalid, and remembers the reason. */
  async #findOut(mailbox: Mailbox, pendingRead: PendingRead, requestId: string | undefined): Promise<void> {
    const { identity } = mailbox;
    const known = pendingRead.asksWhy ? mailbox.missing.get(pendingRead.name) : "ParameterNotFound";
    if (known) return pendingRead.resolve({ state: "missing", reason: known, requestId });
    const turn = { namespace: pendingRead.namespace, isWanted: pendingRead.waiters.isWanted };
    const get = async (decrypt: boolean) => {
      const permit = await this.#limiters.acquire({ service: "ssm", identity, lane: pendingRead.lane, ...turn });
      return identity.ssm.getParameter(permit, pendingRead.name, { decrypt });
    };
    try {
      await get(isPassedThrough(pendingRead.name));
      // The parameter was created between the two calls.
      const record = await get(pendingRead.decrypt);
      pendingRead.resolve(foundAs(mailbox.identity, pendingRead.name, record));
    } catch (error) {
      if (error instanceof Canceled) return pendingRead.cancel();
      const read = notFoundOrFailed(error);
      if (read.state === "missing") mailbox.missing.set(pendingRead.name, read.reason);
      pendingRead.resolve(read.state === "missing" ? { ...read, requestId } : read);
    }
  }
}

/** A found record, or a failure if it is not the requested parameter. */
function foundAs(identity: Identity, name: string, record: ParameterRecord): Read {
  if (isAnswerTo(name, record)) return { state: "found", record };
  return { state: "failed", failure: notAsked(identity, name) };
}

function notAsked({ region }: Identity, name: string): Failure {
  const message = `AWS Systems Manager in ${region} answered for ${name} with another parameter or version: check the endpoint; ${tryAgain}`;
  return new AwsFailure({ reason: "Unreachable", next: "retry", code: "InvalidAnswer", message });
}

function namesOf(batch: readonly PendingRead[]): string[] {
  return batch.map(({ name }) => name);
}

/** Keeps the reads that are still wanted and cancels the others. */
function wanted(pendingReads: readonly PendingRead[]): PendingRead[] {
  return pendingReads.filter((pendingRead) => {
    const isWanted = pendingRead.waiters.isWanted();
    if (!isWanted) pendingRead.cancel();
    return isWanted;
  });
}

/**
 * The record that AWS found for a name. A record that another name of the call requests by ARN may be another account's
 * parameter of the same name. It answers a plain name only if AWS does not call that name invalid.
 */
function recordFor(
  name: string,
  batch: readonly PendingRead[],
  { found, invalid }: Pick<Answer, "found" | "invalid">,
): ParameterRecord | undefined {
  const fitting = found.filter((one) => isAnswerTo(name, one));
  if (name.startsWith("arn:")) return fitting[0];
  const isByArn = ({ arn, selector = "" }: ParameterRecord) =>
    batch.some((pendingRead) => pendingRead.name === arn + selector);
  return fitting.find((one) => !isByArn(one)) ?? (invalid.includes(name) ? undefined : fitting[0]);
}

/** @throws Canceled */
function notFoundOrFailed(error: unknown): Read {
  if (error instanceof Canceled) throw error;
  const failure = asFailure(error);
  if (failure.reason === "ParameterNotFound" || failure.reason === "VersionNotFound") {
    return { state: "missing", reason: failure.reason };
  }
  return { state: "failed", failure };
}

function asFailure(error: unknown): Failure {
  if (error instanceof Failure) return error;
  return new Failure("Unreachable", "retry", "AWS Systems Manager sent an answer that could not be understood");
}

/** Whether the call may succeed with fewer names. */
function isTooLong(failure: Failure): boolean {
  return failure instanceof AwsFailure && failure.code === answerTooLong;
}

function scopeOf(failure: Failure): FailureScope {
  return failure instanceof AwsFailure ? failure.scope : "call";
}
