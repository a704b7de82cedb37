import { ParameterStore } from "./aws.ts";
import { SimulationClock } from "./clock.ts";
import { parametersEach, type Site } from "./fleet.ts";
import { seeded } from "./random.ts";
import { World } from "./world.ts";

/** The parameter that many SyncedSecrets share. */
export const sharedName = "/platform/shared/trust-bundle";
/** SyncedSecrets of one namespace. */
const namespaceSize = 500;

/** One site with its clock and its store, before any call. */
export class Stage {
  readonly clock = new SimulationClock();
  readonly store: ParameterStore;
  /** Every parameter that only one SyncedSecret uses. */
  readonly names: string[] = [];
  readonly site: Site;
  readonly #isShared: boolean;
  readonly #ownEach: number;

  /** @param isShared whether all SyncedSecrets share one parameter */
  constructor(site: Site, isShared = false) {
    this.site = site;
    this.#isShared = isShared;
    this.#ownEach = isShared ? parametersEach - 1 : parametersEach;
    this.store = new ParameterStore(site, this.clock, seeded(site.seed + 1));
    for (let i = 0; i < site.resources; i++) {
      for (let k = 0; k < this.#ownEach; k++) this.names.push(`/shop/${service(i)}/credential-${k}`);
    }
    for (const name of this.names) this.store.put(name);
    if (isShared) this.store.put(sharedName);
  }

  /** The number of distinct parameters. */
  get parameters(): number {
    return this.names.length + (this.#isShared ? 1 : 0);
  }

  /** Creates an operator. @param limit requests a second of the connection; default: the operator's default */
  world(limit?: number): World {
    const { clock, store, site } = this;
    return new World({ clock, stores: [store], seed: site.seed, ...(limit === undefined ? {} : { limit }) });
  }

  /** Adds every SyncedSecret to a world, as new or as left current by an earlier process. */
  fill(world: World, as: "new" | "current"): void {
    for (let i = 0; i < this.site.resources; i++) {
      const own = this.names.slice(i * this.#ownEach, (i + 1) * this.#ownEach);
      const names = this.#isShared ? [...own, sharedName] : own;
      if (as === "new") world.add(this.keyOf(i), this.store, names);
      else world.resume(this.keyOf(i), this.store, names);
    }
  }

  /** namespace/name of a SyncedSecret. */
  keyOf(i: number): string {
    return `${this.site.account}-${Math.floor(i / namespaceSize)}/${service(i)}`;
  }

  /** The SyncedSecrets that use a parameter. */
  *dependents(name: string): Iterable<string> {
    if (name !== sharedName) yield this.keyOf(Number(/service-([0-9]+)/.exec(name)![1]));
    else for (let i = 0; i < this.site.resources; i++) yield this.keyOf(i);
  }
}

function service(i: number): string {
  return `service-${String(i).padStart(6, "0")}`;
}
