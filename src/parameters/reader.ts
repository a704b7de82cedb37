import { AwsFailure, type FailureScope } from "../aws/failure.ts";
import type { Identity } from "../aws/identity.ts";
import type { ParameterRecord } from "../aws/ssm.ts";
import { Failure } from "../runtime/failure.ts";
import { type Lane, lanes, moreUrgent } from "../runtime/lane.ts";
import type { Lanes } from "./lanes.ts";

/** What AWS said of one name. `missing` is AWS's word; whether it is believed is the observer's affair. */
export type Read =
  | { state: "found"; record: ParameterRecord }
  | { state: "missing"; reason: "ParameterNotFound" | "VersionNotFound" }
  | { state: "failed"; failure: Failure };

interface Ask {
  name: string;
  decrypt: boolean;
  lane: Lane;
  answer: Promise<Read>;
  resolve: (read: Read) => void;
}

/** Names in one GetParameters call, at most: a limit of AWS. */
const namesInACall = 10;

/** What is asked of one identity and not yet sent, and what is remembered of its names. */
class Mailbox {
  /** Asks with and without decryption wait apart: a poll must not use KMS. */
  readonly waiting = { decrypted: new Map<string, Ask>(), plain: new Map<string, Ask>() };
  readonly calls = { decrypted: 0, plain: 0 };
  /** Names that made a call fail as a whole: read alone until they answer. */
  readonly poison = new Set<string>();
  /** Names in the last call at which the service failed by an error of its own: with the next, one may be to blame. */
  readonly suspects = new Set<string>();
  /** What is missing about a name that AWS calls invalid: found out once, by one GetParameter. */
  readonly missing = new Map<string, "ParameterNotFound" | "VersionNotFound">();
}

/**
 * Reads parameters in calls of ten names, formed when a call is about to start and not before, so that what is asked
 * meanwhile travels along. Equal asks that wait are answered by one read.
 */
export class Reader {
  readonly #lanes: Lanes;
  readonly #mailboxes = new Map<string, Mailbox>();

  constructor(lanes: Lanes) {
    this.#lanes = lanes;
  }

  /**
   * Reads one parameter.
   *
   * @param name with its selector, as GetParameters takes it
   * @param options.decrypt false leaves the value out and uses no KMS
   * @returns never rejects: a failure is a state
   */
  read(identity: Identity, name: string, options: { decrypt: boolean; lane: Lane }): Promise<Read> {
    const mailbox = this.#mailbox(identity);
    const waiting =
      mailbox.waiting.decrypted.get(name) ?? (options.decrypt ? undefined : mailbox.waiting.plain.get(name));
    if (waiting) {
      waiting.lane = moreUrgent(waiting.lane, options.lane);
      return waiting.answer;
    }
    let resolve: (read: Read) => void = () => {};
    const answer = new Promise<Read>((r) => {
      resolve = r;
    });
    const kind = options.decrypt ? "decrypted" : "plain";
    mailbox.waiting[kind].set(name, { name, ...options, answer, resolve });
    this.#dispatch(identity, mailbox, kind, options.lane);
    return answer;
  }

  /** Asks for one name alone, without decryption, by GetParameter: the second opinion on a parameter that is gone. */
  async confirm(identity: Identity, name: string, lane: Lane): Promise<Read> {
    try {
      const record = await this.#lanes.run(identity, lane, () => identity.ssm.getParameter(name, { decrypt: false }));
      this.#mailbox(identity).missing.delete(name);
      return { state: "found", record };
    } catch (error) {
      return notFoundOrFailed(error);
    }
  }

  /** Drops what is remembered of a name that nobody asks for any more. */
  forget(identity: Identity, name: string): void {
    const mailbox = this.#mailboxes.get(identity.key);
    if (!mailbox) return;
    mailbox.poison.delete(name);
    mailbox.suspects.delete(name);
    mailbox.missing.delete(name);
    const { decrypted, plain } = mailbox.waiting;
    if (mailbox.poison.size + mailbox.missing.size + decrypted.size + plain.size === 0 && noCalls(mailbox)) {
      this.#mailboxes.delete(identity.key);
    }
  }

  #mailbox(identity: Identity): Mailbox {
    let mailbox = this.#mailboxes.get(identity.key);
    if (!mailbox) {
      mailbox = new Mailbox();
      this.#mailboxes.set(identity.key, mailbox);
    }
    return mailbox;
  }

  /** Sees to it that as many calls are queued as what waits will fill. */
  #dispatch(identity: Identity, mailbox: Mailbox, kind: "decrypted" | "plain", lane: Lane): void {
    const asks = mailbox.waiting[kind];
    let alone = 0;
    if (mailbox.poison.size > 0) for (const name of asks.keys()) if (mailbox.poison.has(name)) alone += 1;
    const needed = alone + Math.ceil((asks.size - alone) / namesInACall);
    while (mailbox.calls[kind] < needed) {
      mailbox.calls[kind] += 1;
      void this.#lanes.run(identity, lane, async () => {
        // A free place starts a call at once; one turn later, all that this turn asks for is there to be taken.
        await new Promise((resolve) => setImmediate(resolve));
        mailbox.calls[kind] -= 1;
        const batch = takeBatch(asks, mailbox.poison);
        // A name that has turned out to be poison since wants a call of its own, which nobody has queued.
        this.#dispatch(identity, mailbox, kind, lane);
        if (batch.length > 0) await this.#call(identity, mailbox, batch);
      });
    }
  }

  /** One GetParameters call; a call that fails as a whole is halved until the poison name stands alone. */
  async #call(identity: Identity, mailbox: Mailbox, batch: Ask[]): Promise<void> {
    const names = batch.map((ask) => ask.name);
    try {
      const { found } = await identity.ssm.getParameters(names, { decrypt: batch[0]!.decrypt });
      const byName = new Map<string, ParameterRecord>();
      for (const record of found) {
        byName.set(record.name + (record.selector ?? ""), record);
        byName.set(record.arn + (record.selector ?? ""), record);
        byName.set(alternative(record.name) + (record.selector ?? ""), record);
      }
      const unanswered: Ask[] = [];
      for (const ask of batch) {
        const record = byName.get(ask.name);
        if (!record) {
          unanswered.push(ask);
          continue;
        }
        mailbox.poison.delete(ask.name);
        mailbox.suspects.delete(ask.name);
        mailbox.missing.delete(ask.name);
        ask.resolve({ state: "found", record });
      }
      await Promise.all(unanswered.map((ask) => this.#findOut(identity, mailbox, ask)));
    } catch (error) {
      const failure = asFailure(error);
      const scope = scopeOf(failure);
      const isAgain = names.every((name) => mailbox.suspects.has(name));
      if (scope === "server") for (const name of names) mailbox.suspects.add(name);
      const mayBeOneName = scope === "server" ? isAgain : scope === "call" && failure.next !== "retry";
      if (!mayBeOneName) {
        for (const ask of batch) ask.resolve({ state: "failed", failure });
      } else if (batch.length === 1) {
        mailbox.poison.add(names[0]!);
        batch[0]!.resolve({ state: "failed", failure });
      } else {
        const half = batch.length >> 1;
        await this.#call(identity, mailbox, batch.slice(0, half));
        await this.#call(identity, mailbox, batch.slice(half));
      }
    }
  }

  /** GetParameters calls a name invalid without saying why; GetParameter says, and it is remembered. */
  async #findOut(identity: Identity, mailbox: Mailbox, ask: Ask): Promise<void> {
    const known = mailbox.missing.get(ask.name);
    if (known) return ask.resolve({ state: "missing", reason: known });
    try {
      await identity.ssm.getParameter(ask.name, { decrypt: false });
      // It came into being between the two calls.
      const record = await identity.ssm.getParameter(ask.name, { decrypt: ask.decrypt });
      ask.resolve({ state: "found", record });
    } catch (error) {
      const read = notFoundOrFailed(error);
      if (read.state === "missing") mailbox.missing.set(ask.name, read.reason);
      ask.resolve(read);
    }
  }
}

/** Takes the next call's asks: a poison name alone, else the ten most urgent, in the order in which they were asked. */
function takeBatch(asks: Map<string, Ask>, poison: ReadonlySet<string>): Ask[] {
  const healthy = [...asks.values()].filter((ask) => !poison.has(ask.name));
  let batch = healthy;
  if (healthy.length === 0) batch = [...asks.values()].slice(0, 1);
  else if (healthy.length > namesInACall) batch = mostUrgent(healthy);
  for (const ask of batch) asks.delete(ask.name);
  return batch;
}

function mostUrgent(asks: Ask[]): Ask[] {
  const batch: Ask[] = [];
  for (const lane of lanes) {
    for (const ask of asks) {
      if (ask.lane !== lane) continue;
      batch.push(ask);
      if (batch.length === namesInACall) return batch;
    }
  }
  return batch;
}

/** `/x` and `x` are one parameter, and AWS answers with the name that it was made under. */
function alternative(name: string): string {
  return name.startsWith("/") ? name.slice(1) : `/${name}`;
}

function notFoundOrFailed(error: unknown): Read {
  const failure = asFailure(error);
  if (failure.reason === "ParameterNotFound" || failure.reason === "VersionNotFound") {
    return { state: "missing", reason: failure.reason };
  }
  return { state: "failed", failure };
}

function asFailure(error: unknown): Failure {
  if (error instanceof Failure) return error;
  return new Failure("Unreachable", "retry", "the answer of AWS Systems Manager could not be understood");
}

function scopeOf(failure: Failure): FailureScope {
  return failure instanceof AwsFailure ? failure.scope : "call";
}

function noCalls(mailbox: Mailbox): boolean {
  return mailbox.calls.decrypted + mailbox.calls.plain === 0;
}
