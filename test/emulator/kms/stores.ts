import { randomBytes } from "node:crypto";
import type { Call, Scope } from "../call.ts";
import type { Denials } from "../denials.ts";
import { type Json, ServiceError } from "../http.ts";
import { requiredString } from "../input.ts";

interface Store extends Scope {
  id: string;
  name: string;
  isConnected: boolean;
}

/** Custom key stores by account and region, as far as whether they are connected. They connect at once. */
export class KeyStores {
  #stores = new Map<string, Store>();
  #denials: Denials;

  constructor(denials: Denials) {
    this.#denials = denials;
  }

  /** A store that is not connected yet. */
  create(call: Call): Json {
    this.#denials.check(call, "*");
    const { account, region } = call;
    const id = `cks-${randomBytes(8).toString("hex")}`;
    const name = requiredString(call.input, "CustomKeyStoreName");
    this.#stores.set(id, { account, region, id, name, isConnected: false });
    return { CustomKeyStoreId: id };
  }

  /** @throws ServiceError CustomKeyStoreInvalidStateException where a store that is not connected is disconnected */
  connect(call: Call, isConnected: boolean): Json {
    this.#denials.check(call, "*");
    const store = this.#find(call);
    if (!isConnected && !store.isConnected) throw badState(store.id);
    store.isConnected = isConnected;
    return {};
  }

  /** The connected store that a new key is to be in. */
  forNewKey(call: Call): string {
    const { id, isConnected } = this.#find(call);
    if (!isConnected) throw badState(id);
    return id;
  }

  isConnected(id: string): boolean {
    return this.#stores.get(id)!.isConnected;
  }

  #find(call: Call): Store {
    const id = requiredString(call.input, "CustomKeyStoreId");
    const store = this.#stores.get(id);
    if (store?.account === call.account && store.region === call.region) return store;
    throw new ServiceError("CustomKeyStoreNotFoundException", `There is no custom key store ${id}`);
  }
}

function badState(id: string): ServiceError {
  return new ServiceError("CustomKeyStoreInvalidStateException", `The custom key store ${id} is not connected`);
}
