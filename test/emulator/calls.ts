/** One call that was answered, or that was left hanging. */
export interface Entry {
  service: string;
  operation: string;
  region: string;
  account: string;
  accessKeyId: string;
  /** `ssm` for what SSM asks of KMS on the caller's behalf; such an entry is no HTTP request. */
  via: "client" | "ssm";
  /** WithDecryption, where the operation has it. */
  decrypt?: boolean;
  /** Parameter names or the path, as they were asked for. */
  names?: string[];
  /** The id that the answer carries, as CloudTrail records it; of HTTP requests that were answered. */
  requestId?: string;
  /** HTTP status; 0 for a connection that was reset or left hanging. */
  status: number;
  /** The error's code, where there was one. */
  error?: string;
  /** Milliseconds since the epoch, by the door's clock, when the answer was ready. */
  at: number;
}

/** Calls of one kind, added up. */
export interface Count {
  service: string;
  operation: string;
  account: string;
  region: string;
  count: number;
}

/** Every field that is given has to be equal. */
export type Filter = Partial<
  Pick<
    Entry,
    | "service"
    | "operation"
    | "region"
    | "account"
    | "accessKeyId"
    | "via"
    | "decrypt"
    | "status"
    | "error"
    | "requestId"
  >
>;

/** What was asked of the door, in order. Nothing that goes through `/__door/` or a test's own writes is in it. */
export class Calls {
  #entries: Entry[] = [];

  add(entry: Entry): void {
    this.#entries.push(entry);
  }

  /** The entries that match, oldest first. */
  log(filter: Filter = {}): Entry[] {
    const wanted = Object.entries(filter);
    return this.#entries.filter((entry) => wanted.every(([field, value]) => entry[field as keyof Entry] === value));
  }

  /** The calls that match, added up by service, operation, account and region, in the order of their first one. */
  counts(filter: Filter = {}): Count[] {
    const sums = new Map<string, Count>();
    for (const { service, operation, account, region } of this.log(filter)) {
      const key = `${service}:${operation}:${account}:${region}`;
      const sum = sums.get(key);
      if (sum) sum.count += 1;
      else sums.set(key, { service, operation, account, region, count: 1 });
    }
    return [...sums.values()];
  }

  reset(): void {
    this.#entries = [];
  }
}
