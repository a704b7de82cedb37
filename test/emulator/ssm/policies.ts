import type { Clock, Timer } from "../../../src/runtime/clock.ts";
import type { Scope } from "../call.ts";
import { type Json, ServiceError } from "../http.ts";

/** One parameter policy (User Guide, "Assigning parameter policies"). */
export type Policy =
  | { type: "Expiration"; text: string; at: number }
  | { type: "ExpirationNotification"; text: string; beforeMs: number }
  | { type: "NoChangeNotification"; text: string; afterMs: number };

const mostPolicies = 10;
const units: ReadonlyMap<unknown, number> = new Map([
  ["Days", 86_400_000],
  ["Hours", 3_600_000],
]);

/** @param json the member Policies of PutParameter: a JSON array @throws ServiceError by what is wrong with it */
export function parsePolicies(json: string | undefined): Policy[] {
  if (json === undefined || json === "") return [];
  let list: unknown;
  try {
    list = JSON.parse(json);
  } catch {
    throw attribute("Policies is not JSON");
  }
  // `{}` takes all policies away.
  if (list !== null && typeof list === "object" && Object.keys(list).length === 0) return [];
  if (!Array.isArray(list)) throw attribute("Policies has to be a JSON array");
  if (list.length > mostPolicies) {
    throw new ServiceError(
      "PoliciesLimitExceededException",
      `You specified more than the maximum of ${mostPolicies} policies.`,
    );
  }
  const policies = list.map(parsePolicy);
  const expirations = policies.filter(({ type }) => type === "Expiration").length;
  if (expirations > 1) throw incompatible("There can be only one Expiration policy.");
  if (expirations === 0 && policies.some(({ type }) => type === "ExpirationNotification")) {
    throw incompatible("ExpirationNotification needs an Expiration policy.");
  }
  return policies;
}

function parsePolicy(value: unknown): Policy {
  const { Type, Version, Attributes } = (value ?? {}) as { Type?: unknown; Version?: unknown; Attributes?: Json };
  const text = JSON.stringify(value);
  if (Version !== "1.0") throw attribute('Version has to be "1.0"');
  const attributes = Attributes ?? {};
  if (Type === "Expiration") {
    const { Timestamp } = attributes;
    const at =
      typeof Timestamp === "string" && /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d/.test(Timestamp)
        ? Date.parse(Timestamp)
        : Number.NaN;
    if (Number.isNaN(at)) throw attribute("Timestamp has to be an instant in ISO 8601");
    return { type: Type, text, at };
  }
  if (Type === "ExpirationNotification")
    return { type: Type, text, beforeMs: span(attributes.Before, attributes.Unit) };
  if (Type === "NoChangeNotification") return { type: Type, text, afterMs: span(attributes.After, attributes.Unit) };
  throw new ServiceError("InvalidPolicyTypeException", `The policy type ${String(Type)} isn't supported.`);
}

function span(amount: unknown, unit: unknown): number {
  const unitMs = units.get(unit);
  if (typeof amount !== "string" || !/^[1-9]\d{0,4}$/.test(amount) || unitMs === undefined) {
    throw attribute("a span is a whole number as a string, with the Unit Days or Hours");
  }
  return Number(amount) * unitMs;
}

function attribute(message: string): ServiceError {
  return new ServiceError("InvalidPolicyAttributeException", message);
}

function incompatible(message: string): ServiceError {
  return new ServiceError("IncompatiblePolicyException", message);
}

/** The policies in their wire form. */
export function inlinePolicies(json: string | undefined): Json[] {
  return parsePolicies(json).map(({ text, type }) => ({ PolicyText: text, PolicyType: type, PolicyStatus: "Pending" }));
}

/** Something that a policy does at an instant. */
interface Action {
  scope: Scope;
  name: string;
  policy: Policy;
  at: number;
}

/** Carries out parameter policies at their instants: AWS does so by a periodic scan, so some time after. */
export class PolicyTimer {
  #actions: Action[] = [];
  #timer: Timer | undefined;
  #clock: Clock;
  #act: (scope: Scope, name: string, policy: Policy) => Promise<void>;

  /** @param act what happens at a policy's instant */
  constructor(clock: Clock, act: (scope: Scope, name: string, policy: Policy) => Promise<void>) {
    this.#clock = clock;
    this.#act = act;
  }

  /** Takes the policies of a version that was put just now in place of those of the parameter before. */
  set(scope: Scope, name: string, policies: readonly Policy[], modified: number): void {
    this.forget(scope, name);
    const expiry = policies.find((policy) => policy.type === "Expiration")?.at ?? 0;
    for (const policy of policies) {
      const at =
        policy.type === "Expiration"
          ? policy.at
          : policy.type === "ExpirationNotification"
            ? expiry - policy.beforeMs
            : modified + policy.afterMs;
      this.#actions.push({ scope, name, policy, at });
    }
    this.#actions.sort((a, b) => a.at - b.at);
    this.#arm();
  }

  forget({ account, region }: Scope, name: string): void {
    this.#actions = this.#actions.filter(
      (action) => action.name !== name || action.scope.account !== account || action.scope.region !== region,
    );
  }

  /** Carries out what is due. */
  async tick(): Promise<void> {
    const now = this.#clock.now();
    const due = this.#actions.filter(({ at }) => at <= now);
    this.#actions = this.#actions.filter(({ at }) => at > now);
    for (const { scope, name, policy } of due) await this.#act(scope, name, policy);
    this.#arm();
  }

  stop(): void {
    this.#timer?.cancel();
    this.#actions = [];
  }

  #arm(): void {
    this.#timer?.cancel();
    const next = this.#actions[0];
    // A delay that is too long for a timer is cut, and the tick finds nothing due.
    if (next) this.#timer = this.#clock.setTimer(() => void this.tick(), next.at - this.#clock.now());
  }
}
