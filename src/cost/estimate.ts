import type { SyncedSecret } from "../api/types.ts";
import { parseKeyRef } from "../aws/names.ts";
import { pollShare } from "../aws/ratelimit/quota.ts";
import { QuotaRegistry } from "../aws/ratelimit/quota-registry.ts";
import { parseBase64 } from "../ciphertexts/base64.ts";
import { isRsa } from "../ciphertexts/explain.ts";
import type { ResolvedConnection } from "../controllers/connection/connections.ts";
import { claimOf } from "../controllers/connection/reconcile.ts";
import { isAnnouncedByAws } from "../controllers/events/announced.ts";
import type { Granted } from "../controllers/grants.ts";
import { pollIntervalOf } from "../controllers/syncedsecret/decide/snapshot.ts";
import { isFromParameters, plan } from "../controllers/syncedsecret/plan/plan.ts";
import { isPassedThrough, namesInACall, type Reference, referenceKey } from "../parameters/read/reference.ts";
import { announcedFactor } from "../parameters/schedule/intervals.ts";
import { intervalOf } from "../parameters/subscription.ts";
import { systemClock } from "../runtime/clock.ts";
import type { Failure } from "../runtime/failure.ts";
import { type OwnPrices, type PriceName, priceOf } from "./prices.ts";
import { type Cost, monthDays, monthSeconds } from "./table.ts";

/** Assumptions that manifests do not contain. */
export interface Assumed {
  /** Parameters below each path. */
  members: number;
  /** Changes of all parameters together. */
  changesPerDay: number;
  /** How many of the parameters are in the advanced tier. */
  advanced: number;
  /** Whether the account uses higher throughput, which charges every interaction. */
  higherThroughput: boolean;
  prices: OwnPrices;
}

/** Seconds of a long poll of an empty queue, and milliseconds between two checks of a key or a description. */
const longPollSeconds = 20;
const hourSeconds = 3_600;
/** Parameters per DescribeParameters call. */
const descriptions = 50;

interface Watched {
  reference: Reference;
  /** The number of parameters it resolves to. */
  names: number;
  /** Seconds between polls; Infinity if never polled. */
  interval: number;
  place: string;
  users: Using[];
  /** Whether it can change while a Secret exists. */
  changes: boolean;
}

/** A SyncedSecret's reads for one update of its Secret. */
interface Using {
  references: Set<string>;
  blobs: number;
  rsaBlobs: number;
}

/** Estimates the monthly cost of manifests, without calls to AWS. */
export class Estimate {
  readonly #assumed: Assumed;
  readonly #watched = new Map<string, Watched>();
  readonly #using: Using[] = [];
  readonly #keys = new Set<string>();
  readonly #queues = new Set<string>();
  readonly #roles = new Set<string>();
  readonly #quotas = new QuotaRegistry(systemClock);

  constructor(assumed: Assumed) {
    this.#assumed = assumed;
  }

  /** Adds a SyncedSecret. @returns why the operator would not read it */
  add(resource: SyncedSecret, granted: Granted, connected: ResolvedConnection): Failure[] {
    const owner = { namespace: resource.metadata.namespace!, name: resource.metadata.name! };
    const planned = plan(resource.spec, granted, owner);
    if (planned.refused.length > 0 || resource.spec.suspend) return planned.refused;
    const { identity, account } = granted;
    const isOnce = resource.spec.refresh?.policy === "Once";
    const using: Using = { references: new Set(), blobs: 0, rsaBlobs: 0 };
    this.#using.push(using);
    this.#quotas.set(identity.key, claimOf(connected, identity));
    for (const reference of planned.references) {
      const pollIntervalMs = isOnce ? Infinity : pollIntervalOf(resource, granted.pollIntervalMs);
      const hasEvents = connected.connection.spec.events !== undefined && isAnnouncedByAws(reference, account);
      const interval = (intervalOf({ reference, pollIntervalMs }) * (hasEvents ? announcedFactor : 1)) / 1_000;
      const watched = this.#watch(reference, `${account}/${identity.region}`);
      watched.interval = Math.min(watched.interval, interval);
      watched.users.push(using);
      const isPinned = reference.kind === "parameter" && /^:[0-9]+$/.test(reference.selector);
      if (!isOnce && !isPinned) watched.changes = true;
      using.references.add(referenceKey(reference));
    }
    for (const entry of planned.entries) {
      if (isFromParameters(entry)) continue;
      const { ciphertext } = entry.kind === "blob" ? entry.blob : entry.message;
      const isLargeRsa =
        entry.kind === "blob" && isRsa(entry.blob.algorithm) && (parseBase64(ciphertext)?.length ?? 0) > 256;
      if (isLargeRsa) using.rsaBlobs += 1;
      else using.blobs += 1;
      const named = entry.kind === "blob" ? [entry.blob.keyId] : (entry.message.keyIds ?? []);
      for (const key of named) if (key !== undefined && parseKeyRef(key)) this.#keys.add(key);
    }
    const { queueUrl } = connected.connection.spec.events ?? {};
    if (queueUrl !== undefined) this.#queues.add(queueUrl);
    for (const { roleArn } of connected.connection.spec.auth?.assumeRole ?? []) {
      this.#roles.add(`${identity.key} ${roleArn}`);
    }
    return [];
  }

  /** The costs, in print order. */
  costs(): Cost[] {
    const { changesPerDay, advanced, higherThroughput } = this.#assumed;
    const parameters = this.#sum(
      () => true,
      ({ names }) => names,
    );
    const paid = higherThroughput ? 1 : Math.min(advanced / Math.max(parameters, 1), 1);
    const polls = this.#polls();
    const changed = this.#changed();
    const changes = changesPerDay * monthDays;
    const hours = monthSeconds / hourSeconds;
    const blobs = this.#using.reduce((sum, one) => sum + one.blobs, 0);
    const rsaBlobs = this.#using.reduce((sum, one) => sum + one.rsaBlobs, 0);
    const receives = (this.#queues.size * monthSeconds) / longPollSeconds;
    const rows: [string, number, PriceName | undefined, number?][] = [
      ["ssm:GetParameters, polls without decryption", polls.calls, undefined],
      ["ssm:GetParametersByPath, polls without decryption", polls.pages, undefined],
      ["parameters asked for by these polls", polls.names, "interactions", paid],
      ["reads with decryption, after changes", changed.calls * changes, undefined],
      ["parameters asked for by these reads", changed.names * changes, "interactions", paid],
      ["kms:Decrypt of SecureStrings, after changes", changed.secure * changes, "kmsRequests"],
      ["kms:Decrypt of blobs and messages, after changes", changed.blobs * changes, "kmsRequests"],
      ["kms:Decrypt of blobs of larger RSA keys, after changes", changed.rsaBlobs * changes, "kmsRsaRequests"],
      ["kms:DescribeKey, the health of keys", this.#keys.size * hours, "kmsRequests"],
      ["ssm:DescribeParameters, expiries", Math.ceil(parameters / descriptions) * hours, undefined],
      [
        "secretsmanager:GetSecretValue",
        polls.secrets + (changed.names - changed.secure) * changes,
        "secretsManagerCalls",
      ],
      ["sqs:ReceiveMessage", receives, "sqsRequests"],
      ["sqs:DeleteMessage, of changes", this.#queues.size > 0 ? changes : 0, "sqsRequests"],
      ["sts:AssumeRole", this.#roles.size * hours, undefined],
      ["advanced parameters kept", advanced, "advancedParameters"],
      ["KMS keys kept, of blobs and messages", this.#keys.size, "kmsKeys"],
    ];
    const monthly = rows.filter(([, count]) => count > 0).map((row) => this.#cost(...row));
    const first = [
      this.#cost(
        "first sync: kms:Decrypt of SecureStrings",
        this.#sum(isSecure, ({ names }) => names),
        "kmsRequests",
      ),
      this.#cost("first sync: kms:Decrypt of blobs and messages", blobs, "kmsRequests"),
      this.#cost("first sync: kms:Decrypt of blobs of larger RSA keys", rsaBlobs, "kmsRsaRequests"),
    ];
    return [...monthly, ...first.filter(({ count }) => count! > 0).map((cost): Cost => ({ ...cost, once: true }))];
  }

  /** @param share the charged part of the count */
  #cost(what: string, count: number, name: PriceName | undefined, share = 1): Cost {
    return { what, count, dollars: name === undefined ? 0 : count * share * priceOf(name, this.#assumed.prices) };
  }

  #watch(reference: Reference, place: string): Watched {
    const key = referenceKey(reference);
    let watched = this.#watched.get(key);
    if (!watched) {
      const names = reference.kind === "path" ? this.#assumed.members : 1;
      watched = { reference, names, interval: Infinity, place, users: [], changes: false };
      this.#watched.set(key, watched);
    }
    return watched;
  }

  #sum(which: (watched: Watched) => boolean, of: (watched: Watched) => number): number {
    let sum = 0;
    for (const watched of this.#watched.values()) if (which(watched)) sum += of(watched);
    return sum;
  }

  /** Monthly requests by polls. Polls that would exceed their share of the quota are stretched. */
  #polls() {
    const perSecond = new Map<string, number>();
    for (const watched of this.#watched.values()) {
      perSecond.set(watched.place, (perSecond.get(watched.place) ?? 0) + callsOf(watched) / watched.interval);
    }
    const stretch = ({ place, reference }: Watched) => {
      const { limit } = this.#quotas.scopeOf(reference.identity.key, "ssm").quota;
      return Math.max(perSecond.get(place)! / limit / pollShare, 1);
    };
    const rounds = (watched: Watched) => monthSeconds / watched.interval / stretch(watched);
    const isPath = ({ reference }: Watched) => reference.kind === "path";
    const isSecret = (one: Watched) => !isSecure(one);
    return {
      calls: this.#sum(
        (one) => !isPath(one),
        (one) => callsOf(one) * rounds(one),
      ),
      pages: this.#sum(isPath, (one) => callsOf(one) * rounds(one)),
      names: this.#sum(
        () => true,
        (one) => one.names * rounds(one),
      ),
      secrets: this.#sum(isSecret, rounds),
    };
  }

  /** The average reads per change, over all parameters: a Secret is always rebuilt as a whole. */
  #changed() {
    const mean = { names: 0, secure: 0, calls: 0, blobs: 0, rsaBlobs: 0 };
    let weights = 0;
    for (const watched of this.#watched.values()) {
      if (!watched.changes) continue;
      const users = new Set(watched.users);
      const keys = new Set([...users].flatMap(({ references }) => [...references]));
      const all = [...keys].map((key) => this.#watched.get(key)!);
      weights += watched.names;
      mean.names += watched.names * all.reduce((sum, { names }) => sum + names, 0);
      mean.secure += watched.names * all.filter(isSecure).reduce((sum, { names }) => sum + names, 0);
      mean.calls += watched.names * Math.ceil(all.reduce((sum, one) => sum + callsOf(one), 0));
      for (const { blobs, rsaBlobs } of users) {
        mean.blobs += watched.names * blobs;
        mean.rsaBlobs += watched.names * rsaBlobs;
      }
    }
    const scale = weights === 0 ? 0 : 1 / weights;
    return {
      names: mean.names * scale,
      secure: mean.secure * scale,
      calls: mean.calls * scale,
      blobs: mean.blobs * scale,
      rsaBlobs: mean.rsaBlobs * scale,
    };
  }
}

/** Whether a read with decryption is a charged KMS request; for a secret of Secrets Manager, that service charges. */
function isSecure({ reference }: Watched): boolean {
  return reference.kind === "path" || !isPassedThrough(reference.name);
}

/** Calls per look: a tenth of a call for a name, because ten names share one. */
function callsOf({ reference, names }: Watched): number {
  return reference.kind === "path" ? Math.max(Math.ceil(names / namesInACall), 1) : 1 / namesInACall;
}
