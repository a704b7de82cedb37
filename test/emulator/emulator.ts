import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { type Clock, type Random, systemClock } from "../../src/runtime/clock.ts";
import type { Count, Entry, Filter } from "./calls.ts";
import { control } from "./control.ts";
import type { Denial, Request } from "./denials.ts";
import { type DirectScope, Door } from "./door.ts";
import type { Fault } from "./faults.ts";
import type { Json } from "./http.ts";
import { defaultAccount } from "./identities.ts";
import { type Moto, startMoto } from "./moto.ts";
import { type Preparations, preparations } from "./preparations.ts";
import type { Role, Session } from "./roles.ts";

/** How the emulator is to be; everything has a default. */
export interface EmulatorOptions {
  /**
   * `moto` (the default): moto holds the parameters, some 7 ms a call. `memory`: the door holds them itself, thousands
   * of calls a second, and moto starts only when something needs it.
   */
  reads?: "moto" | "memory";
  /** GetParameter, GetParameters and GetParametersByPath a second, an account and region; 40, AWS's default. */
  quota?: number | "none";
  /** For the quota, expiries, delays and times; the machine's clock. moto keeps its own time. */
  clock?: Clock;
  /** For faults with a probability; Math.random. */
  random?: Random;
  /** Whose a static access key is; any other one is a user's in 123456789012. */
  identities?: Record<string, { account: string; arn: string }>;
  /** The address to listen on, for clients in other network namespaces; 127.0.0.1. */
  address?: string;
  /** The port to listen on; a free one. */
  port?: number;
  /** Told of each step that takes long. */
  say?: (line: string) => void;
}

/** What a client of the AWS SDK is made with, to call the emulator. */
export interface ClientConfig {
  endpoint: string;
  region: string;
  credentials: { accessKeyId: string; secretAccessKey: string };
  maxAttempts: number;
}

/** A running emulator of SSM, KMS, STS and SQS. */
export interface Emulator extends Preparations {
  /** The one endpoint of all services. */
  readonly url: string;
  /** moto itself, past the door; empty while it has not started. */
  readonly motoUrl: string;
  readonly account: string;
  /** Calls that match, added up. */
  calls(filter?: Filter): Count[];
  /** How many calls match. */
  count(filter?: Filter): number;
  /** Calls that match, oldest first. */
  log(filter?: Filter): Entry[];
  resetCalls(): void;
  deny(rule: Denial): void;
  /** Has only that allowed which `allows` says yes to, as policies would; until `allowAll`. */
  allowOnly(allows: (request: Request) => boolean): void;
  allowAll(): void;
  quota(rate: number | "none"): void;
  fault(fault: Fault): void;
  clearFaults(): void;
  identity(accessKeyId: string, identity: { account: string; arn: string }): void;
  /** Sets what a role's trust policy says. One that nothing was said of trusts everybody. */
  role(roleArn: string, role: Role): void;
  /** The sessions of AssumeRole, oldest first. */
  sessions(): Session[];
  /** Ends every session of AssumeRole at once: its keys are refused. */
  expireSessions(): void;
  /** Makes a standard SQS queue, where moto keeps it. @returns its URL, at the door */
  createQueue(name: string, scope?: DirectScope): Promise<string>;
  /** Sends the change events of a scope (its own default: eu-west-1 of 123456789012) to a queue of the same scope. */
  eventsTo(queueUrl: string, scope?: DirectScope): void;
  /** No queue gets any more events. */
  clearEvents(): void;
  /** Resolves when all events of changes made so far are in their queues. */
  flushEvents(): Promise<void>;
  /** Carries out the parameter policies that are due by the clock. It happens by itself too, at their instants. */
  tick(): Promise<void>;
  /** One operation in its wire form, past counting, quota, faults and denials: for a test's preparations. */
  direct(service: "ssm" | "kms", operation: string, input: Json, scope?: DirectScope): Promise<Json>;
  /** Configuration for any client of the SDK, one try a call. */
  config(options?: { region?: string; accessKeyId?: string; maxAttempts?: number }): ClientConfig;
  stop(): Promise<void>;
}

/** Starts the emulator on a free port. @throws Error where moto cannot be installed or started */
export async function startEmulator(options: EmulatorOptions = {}): Promise<Emulator> {
  const { reads = "moto", quota = 40, clock = systemClock, random = Math.random, address = "127.0.0.1", say } = options;
  let moto: Promise<Moto> | undefined;
  let motoUrl = "";
  const lazily = () => {
    moto ??= startMoto(say).then((started) => {
      motoUrl = started.url;
      return started;
    });
    return moto;
  };
  if (reads === "moto") await lazily();
  const door = new Door({ clock, random, reads, quota, moto: lazily });
  for (const [accessKeyId, identity] of Object.entries(options.identities ?? {})) {
    door.identities.learn(accessKeyId, identity);
  }

  const server = createServer((request, response) => {
    const taken = request.url?.startsWith("/__door/")
      ? control(emulator, request, response)
      : door.take(request, response);
    taken.catch(() => response.destroy());
  });
  // Longer than any client keeps a connection, so that none is closed while a request is on its way.
  server.keepAliveTimeout = 600_000;
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(options.port ?? 0, address, resolve);
  });
  const url = `http://${address}:${(server.address() as AddressInfo).port}`;

  const direct: Emulator["direct"] = (service, operation, input, scope) =>
    door.direct(service, operation, input, scope);
  const emulator: Emulator = {
    url,
    get motoUrl() {
      return motoUrl;
    },
    account: defaultAccount,
    calls: (filter) => door.calls.counts(filter),
    count: (filter) => door.calls.log(filter).length,
    log: (filter) => door.calls.log(filter),
    resetCalls: () => door.calls.reset(),
    deny: (rule) => door.denials.add(rule),
    allowOnly: (allows) => door.denials.allowOnly(allows),
    allowAll: () => door.denials.clear(),
    quota: (rate) => door.quota.set(rate),
    fault: (fault) => door.faults.add(fault),
    clearFaults: () => door.faults.clear(),
    identity: (accessKeyId, identity) => door.identities.learn(accessKeyId, identity),
    role: (roleArn, role) => door.sts.roles.set(roleArn, role),
    sessions: () => [...door.sts.roles.sessions],
    expireSessions: () => door.identities.expire(),
    async createQueue(name, { account = defaultAccount, region = "eu-west-1" } = {}) {
      await door.events.createQueue(name, { account, region });
      return `${url}/${account}/${name}`;
    },
    eventsTo: (queueUrl, { account = defaultAccount, region = "eu-west-1" } = {}) =>
      door.events.to(queueUrl, { account, region }),
    clearEvents: () => door.events.clear(),
    flushEvents: () => door.events.flush(),
    tick: () => door.ssm.policies.tick(),
    direct,
    ...preparations(direct),
    config: ({ region = "eu-west-1", accessKeyId = "AKIAKEYFERRYTEST", maxAttempts = 1 } = {}) => ({
      endpoint: url,
      region,
      credentials: { accessKeyId, secretAccessKey: "not-checked" },
      maxAttempts,
    }),
    async stop() {
      door.ssm.policies.stop();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      if (moto) await (await moto).stop();
    },
  };
  return emulator;
}
