import type { Clock } from "../../../src/runtime/clock.ts";
import type { Call } from "../call.ts";
import type { Calls } from "../calls.ts";
import type { Denials } from "../denials.ts";
import type { Events } from "../events.ts";
import type { Json } from "../http.ts";
import type { KeyUse } from "../kms/use.ts";
import { Descriptions } from "./describe.ts";
import { isAws } from "./names.ts";
import { PolicyTimer } from "./policies.ts";
import { Reads } from "./read.ts";
import { Secure } from "./secure.ts";
import type { Store } from "./store.ts";
import { Writes } from "./write.ts";

type Operation = (call: Call) => Promise<Json>;

interface Parts {
  store: Store;
  /** Where `/aws/service` and `/aws/reference/secretsmanager` are looked up. */
  publicStore: Store;
  kms: KeyUse;
  denials: Denials;
  events: Events;
  clock: Clock;
  calls: Calls;
}

/** Parameter Store. Other operations of Systems Manager are not its own. */
export class Ssm {
  readonly policies: PolicyTimer;
  #operations: ReadonlyMap<string, Operation>;

  constructor({ store, publicStore, kms, denials, events, clock, calls }: Parts) {
    const secure = new Secure(kms, calls, clock);
    const reads = new Reads((name) => (isAws(name) ? publicStore : store), secure, denials);
    const writes = new Writes({ store, secure, denials, events, now: () => clock.now() }, () => this.policies);
    const descriptions = new Descriptions(store, secure, denials);
    this.policies = new PolicyTimer(clock, (scope, name, policy) => writes.act(scope, name, policy));
    this.#operations = new Map<string, Operation>([
      ["GetParameter", (call) => reads.getParameter(call)],
      ["GetParameters", (call) => reads.getParameters(call)],
      ["GetParametersByPath", (call) => reads.getParametersByPath(call)],
      ["PutParameter", (call) => writes.putParameter(call)],
      ["DeleteParameter", (call) => writes.deleteParameter(call)],
      ["DeleteParameters", (call) => writes.deleteParameters(call)],
      ["LabelParameterVersion", (call) => writes.labelParameterVersion(call)],
      ["UnlabelParameterVersion", (call) => writes.unlabelParameterVersion(call)],
      ["DescribeParameters", (call) => descriptions.describeParameters(call)],
      ["GetParameterHistory", (call) => descriptions.getParameterHistory(call)],
      ["AddTagsToResource", (call) => descriptions.addTagsToResource(call)],
      ["RemoveTagsFromResource", (call) => descriptions.removeTagsFromResource(call)],
      ["ListTagsForResource", (call) => descriptions.listTagsForResource(call)],
    ]);
  }

  /** @returns undefined for what is not imitated */
  async handle(call: Call): Promise<Json | undefined> {
    return this.#operations.get(call.operation)?.(call);
  }
}

/** The names or the path that a call of SSM asks for, of a DescribeParameters those of its filter. */
export function namesOf(input: Json): string[] {
  if (Array.isArray(input.Names)) return input.Names.map(String);
  for (const field of ["Name", "Path", "ResourceId"]) if (typeof input[field] === "string") return [input[field]];
  const filters = Array.isArray(input.ParameterFilters) ? (input.ParameterFilters as Json[]) : [];
  return filters.flatMap(({ Key, Values }) => (Key === "Name" && Array.isArray(Values) ? Values.map(String) : []));
}
