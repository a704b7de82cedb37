import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "vitest";
import type { AuditedRequest } from "../../cluster/audit.ts";
import { until } from "../../support/operator.ts";
import { kubeconfigThrough, startTcpProxy, type TcpProxy } from "../../support/tcp-proxy.ts";
import type { Stage } from "../stage.ts";
import { Figures } from "./figures.ts";
import { Load } from "./load.ts";
import { type Replica, Replicas, type Timing } from "./replicas.ts";
import { done, gapMs, repeatedWrites, slowestMs, writesIn } from "./writes.ts";

/** Bounds in milliseconds. */
const bounds = {
  gap: 2_000,
  /** Of a change, after SIGTERM. */
  missed: 5_000,
  /** Of a change, after SIGKILL: a message that was received stays invisible for a minute. */
  missedAfterKill: 65_000,
};
const rows = {
  slowest: "slowest change, ms",
  unfinished: "slowest change, of a message in progress, ms",
};
const [frozen, cutOff] = ["a frozen leader", "a leader that is cut off"];
/** Changes a second. */
const perSecond = 5;
const names = ["a", "b"] as const;

/** A part of a connection's spec. */
function connection(url: string, ssmRequestsPerSecond: number) {
  const endpoints = { ssm: url, kms: url, sts: url, sqs: url };
  return { endpoints, limits: { ssmRequestsPerSecond, kmsRequestsPerSecond: 100 } };
}

/** Rounds of hand-overs and failures under a load, with a leader and a standby, each behind a proxy of its own. */
export class Campaign {
  readonly figures = new Figures();
  readonly load: Load;
  readonly #stage: Stage;
  readonly #replicas: Replicas;
  readonly #writes: AuditedRequest[] = [];
  readonly #proxies = new Map<string, TcpProxy>();
  #leader!: Replica;
  #standby!: Replica;
  #rounds = 0;

  private constructor(stage: Stage, replicas: Replicas, load: Load) {
    [this.#stage, this.#replicas, this.load] = [stage, replicas, load];
  }

  /** Begins a load that is in sync, with an event queue. Its polls are too rare to find a change. */
  static async open(stage: Stage, timing: Timing, resources: number): Promise<Campaign> {
    const { aws, cluster } = stage;
    const queueUrl = await aws.createQueue("keyferry");
    aws.eventsTo(queueUrl);
    await stage.connect({ ...connection(aws.url, 40), pollInterval: "6h", events: { queueUrl } });
    const replicas = await Replicas.prepare(stage, names, timing);
    const load = new Load(stage, "load", resources);
    const campaign = new Campaign(stage, replicas, load);
    for (const name of names) {
      campaign.#proxies.set(name, await startTcpProxy(Number(new URL(cluster.url).port)));
    }
    await load.create();
    await campaign.restart();
    await load.settled();
    await stage.audit.take();
    load.begin(perSecond);
    return campaign;
  }

  /** Starts a new leader and a new standby. Waits until all changes are in their Secrets. */
  async restart(): Promise<void> {
    await this.#replicas.end();
    this.#leader = await this.#start("a");
    await until(() => this.#leader.leads(), 20_000, "a leader");
    this.#standby = await this.#start("b");
    await this.load.applied(2 * bounds.missedAfterKill);
  }

  async close(): Promise<void> {
    this.load.close();
    await this.#replicas.end();
    for (const proxy of this.#proxies.values()) proxy.close();
  }

  /**
   * SIGTERM at a random moment.
   *
   * @param options.isUnfinished whether the leader then has a message of the queue that it cannot finish
   * @param options.skewMs milliseconds by which the next standby's wall clock is ahead
   */
  async handOver({ isUnfinished = false, skewMs = 0 } = {}): Promise<void> {
    const [leader, standby] = [this.#leader, this.#standby];
    await sleep(1_000 * (1 + Math.random()));
    await this.#requests();
    if (isUnfinished) await this.#hangOneLook();
    expect([await leader.leads(), await standby.leads()]).toEqual([true, false]);
    const sentAt = Date.now();
    process.kill(leader.pid, "SIGTERM");
    await until(() => standby.leads(), 20_000, "the next leader");
    const leadsAt = Date.now();
    expect(await leader.exited).toBe(0);
    const exitedAt = Date.now();
    const next = await this.#start(leader.name, skewMs);
    const last = Date.now();
    await this.load.applied(bounds.missedAfterKill);
    const gap = await this.#gap(leader, standby);
    const slowest = slowestMs(this.load.changes, sentAt, last);
    this.figures.add("SIGTERM: until the standby leads, ms", leadsAt - sentAt);
    this.figures.add("SIGTERM: until the process has exited, ms", exitedAt - sentAt);
    this.figures.add("SIGTERM: gap between the writes of two leaders, ms", gap);
    this.figures.add(`SIGTERM: ${isUnfinished ? rows.unfinished : rows.slowest}`, slowest);
    [this.#leader, this.#standby] = [standby, next];
  }

  /** SIGKILL at a random moment. @param options.isUnfinished as of `handOver` */
  async kill({ isUnfinished = false } = {}): Promise<void> {
    const [leader, standby] = [this.#leader, this.#standby];
    await sleep(1_000 * (1 + Math.random()));
    await this.#requests();
    if (isUnfinished) await this.#hangOneLook();
    const killedAt = Date.now();
    await leader.kill();
    await until(() => standby.leads(), this.#replicas.timing.leaseMs + 20_000, "the next leader");
    const leadsAt = Date.now();
    const next = await this.#start(leader.name);
    const last = Date.now();
    await this.load.applied(2 * bounds.missedAfterKill);
    this.figures.add("SIGKILL: until the standby leads, ms", leadsAt - killedAt);
    this.figures.add("SIGKILL: gap between the writes of two leaders, ms", await this.#gap(leader, standby));
    const slowest = slowestMs(this.load.changes, killedAt, last);
    this.figures.add(`SIGKILL: ${isUnfinished ? rows.unfinished : rows.slowest}`, slowest);
    [this.#leader, this.#standby] = [standby, next];
  }

  /** A leader that is stopped beyond its Lease and continues. */
  async freeze(): Promise<void> {
    const [leader, standby] = [this.#leader, this.#standby];
    await sleep(1_000 * (1 + Math.random()));
    process.kill(leader.pid, "SIGSTOP");
    await until(() => standby.leads(), this.#replicas.timing.leaseMs + 20_000, "the next leader");
    await sleep(3_000 * Math.random());
    const thawedAt = Date.now();
    process.kill(leader.pid, "SIGCONT");
    await this.#isStandby(leader);
    await this.#noteWrites(frozen, leader, thawedAt);
    [this.#leader, this.#standby] = [standby, leader];
  }

  /** A leader whose packets to and from the API server are lost. */
  async cut(): Promise<void> {
    const [leader, standby] = [this.#leader, this.#standby];
    const proxy = this.#proxies.get(leader.name)!;
    await sleep(1_000 * (1 + Math.random()));
    proxy.cut();
    const cutAt = Date.now();
    await until(() => standby.leads(), this.#replicas.timing.leaseMs + 20_000, "the next leader");
    await sleep(3_000 * Math.random());
    proxy.mend();
    await this.#isStandby(leader);
    await this.#noteWrites(cutOff, leader, cutAt + 100);
    [this.#leader, this.#standby] = [standby, leader];
  }

  /** A leader whose requests arrive when the next one leads. */
  async delay(): Promise<void> {
    const [leader, standby] = [this.#leader, this.#standby];
    const proxy = this.#proxies.get(leader.name)!;
    await sleep(1_000 * (1 + Math.random()));
    proxy.hold();
    await until(() => standby.leads(), this.#replicas.timing.leaseMs + 20_000, "the next leader");
    const leadsAt = Date.now();
    await sleep(3_000 * Math.random());
    proxy.release();
    await this.#isStandby(leader);
    await this.#noteWrites("a leader whose requests are late", leader, leadsAt);
    [this.#leader, this.#standby] = [standby, leader];
  }

  /**
   * Two replicas that both work, of which the requests of one are late by up to `lateMs` milliseconds. Polls show both
   * each change.
   */
  async bothLead({ forMs, lateMs }: { forMs: number; lateMs: number }): Promise<void> {
    await this.#replicas.end();
    await this.#stage.connect({ ...connection(this.#stage.aws.url, 400), pollInterval: "10s" });
    const load = new Load(this.#stage, `both-${this.#rounds++}`, 20);
    const proxy = this.#proxies.get("a")!;
    try {
      await load.create();
      const both = [await this.#start("a", 0, false), await this.#start("b", 0, false)];
      await load.settled();
      load.begin(2 * perSecond);
      for (const end = Date.now() + forMs; Date.now() < end; ) {
        proxy.hold();
        await sleep(lateMs * Math.random());
        proxy.release();
        await sleep(lateMs * Math.random());
      }
      await load.pause(bounds.missedAfterKill);
      const requests = await this.#requests();
      for (const { name, user } of both) {
        const writes = writesIn(requests, load.namespace, user);
        this.figures.add(`both lead: writes of ${name}`, done(writes).length);
        this.figures.add(`both lead: refused writes of ${name}`, writes.length - done(writes).length);
      }
      this.figures.add("both lead: set back to an older version", load.setBacks.length);
      expect(load.setBacks).toEqual([]);
    } finally {
      load.close();
      await this.#replicas.end();
    }
  }

  /** Ends the load, and checks what concerns all rounds so far. */
  async finish(): Promise<void> {
    await this.load.pause(2 * bounds.missedAfterKill);
    await this.#requests();
    const { changes, setBacks, namespace } = this.load;
    const repeated = repeatedWrites(writesIn(this.#writes, namespace), changes);
    this.figures.add("changes", changes.length);
    this.figures.add("versions written twice", repeated.size);
    this.figures.add("set back to an older version", setBacks.length);
    expect(setBacks).toEqual([]);
    // An interrupted write may be retried once.
    expect([...repeated].filter(([, times]) => times > 2)).toEqual([]);
  }

  /** Checks the figures against the bounds that the documentation promises, on a machine that does nothing else. */
  check(): void {
    const { figures } = this;
    expect(figures.max("SIGTERM: gap between the writes of two leaders, ms")).toBeLessThanOrEqual(bounds.gap);
    expect(figures.max(`SIGTERM: ${rows.slowest}`)).toBeLessThanOrEqual(bounds.missed);
    expect(figures.max(`SIGTERM: ${rows.unfinished}`)).toBeLessThanOrEqual(bounds.missed);
    const killed = this.#replicas.timing.leaseMs + bounds.gap;
    expect(figures.max("SIGKILL: gap between the writes of two leaders, ms")).toBeLessThanOrEqual(killed);
    expect(figures.max(`SIGKILL: ${rows.slowest}`)).toBeLessThanOrEqual(bounds.missedAfterKill);
    expect(figures.max(`SIGKILL: ${rows.unfinished}`)).toBeLessThanOrEqual(bounds.missedAfterKill);
    for (const who of [frozen, cutOff]) expect(figures.max(`${who}: writes`)).toBe(0);
  }

  /** Makes the leader's next look hang. Resolves when it does. */
  async #hangOneLook(): Promise<void> {
    const { aws } = this.#stage;
    aws.resetCalls();
    aws.fault({ operation: "GetParameters", kind: "hang", times: 1 });
    await until(() => aws.log({ operation: "GetParameters", status: 0 }).length > 0, 20_000, "a look");
  }

  /** Starts a replica behind its proxy. */
  async #start(name: string, skewMs = 0, elects = true): Promise<Replica> {
    const kubeconfig = await kubeconfigThrough(this.#replicas.kubeconfig(name), this.#proxies.get(name)!);
    return this.#replicas.start(name, { kubeconfig, skewMs, elects });
  }

  async #isStandby(replica: Replica): Promise<void> {
    const standby = async () => {
      const answer = await fetch(`${replica.probesUrl}/readyz`).catch(() => undefined);
      return answer?.status === 200 && (await answer.text()).trim() === "ok, standby";
    };
    await until(standby, 60_000, "the standby");
  }

  /**
   * Counts the writes of a replica that arrived after `since`. A process can be stopped between its check and its write,
   * and a network can hold a request: what took effect was not late for its Secret. It sets nothing back.
   */
  async #noteWrites(who: string, replica: Replica, since: number): Promise<void> {
    await sleep(this.#replicas.timing.retryMs + 1_000);
    const requests = await this.#requests();
    const late = writesIn(requests, this.load.namespace, replica.user).filter(({ at }) => at > since);
    this.figures.add(`${who}: refused writes`, late.length - done(late).length);
    this.figures.add(`${who}: writes`, done(late).length);
    await this.load.applied(2 * bounds.missedAfterKill);
    expect(this.load.setBacks).toEqual([]);
  }

  async #gap(before: Replica, after: Replica): Promise<number> {
    await this.#requests();
    const of = ({ user }: Replica) => writesIn(this.#writes, this.load.namespace, user);
    return gapMs(of(before), of(after), this.load.changes);
  }

  /** The requests since the last call. */
  async #requests(): Promise<AuditedRequest[]> {
    const requests = await this.#stage.audit.take();
    this.#writes.push(...writesIn(requests, this.load.namespace));
    return requests;
  }
}
