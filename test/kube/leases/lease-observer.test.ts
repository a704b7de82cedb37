import { expect, it } from "vitest";
import { KubeError } from "../../../src/kube/errors.ts";
import { LeaseAccess } from "../../../src/kube/leases/lease-access.ts";
import { LeaseObserver } from "../../../src/kube/leases/lease-observer.ts";
import { silent } from "../../../src/runtime/log.ts";
import { FakeClock } from "../../support/clock.ts";
import { LeaseServer } from "./lease-server.ts";

const where = { namespace: "ns", name: "keyferry" };

function observing() {
  const [server, clock, stop] = [new LeaseServer(), new FakeClock(), new AbortController()];
  const access = new LeaseAccess({ client: server.client("observer"), clock, ...where });
  const observer = new LeaseObserver({ access, leaseDurationMs: 15_000, everyMs: 2_000, clock, log: silent });
  const state = { freed: 0 };
  observer.onFree(() => state.freed++);
  const running = observer.run(stop.signal);
  const renew = (holderIdentity = "a") =>
    server.put({ metadata: { ...where }, spec: { holderIdentity, leaseDurationSeconds: 15 } });
  return { server, clock, observer, state, renew, stop, running };
}

it("a Lease that does not exist is unknown", async () => {
  const { clock, observer, state } = observing();
  await clock.advance(60_000);
  expect([observer.state, state.freed]).toEqual(["unknown", 0]);
});

it("a Lease is held while its holder renews it, and free once it has lapsed or is released", async () => {
  const { clock, observer, state, renew } = observing();
  for (let round = 0; round < 10; round++) {
    renew();
    await clock.advance(10_000);
    expect(observer.state).toBe("held");
  }
  await clock.advance(10_000);
  expect([observer.state, state.freed]).toEqual(["free", 1]);
  await clock.advance(60_000);
  expect(state.freed).toBe(1);
  renew("b");
  await clock.advance(2_100);
  expect(observer.state).toBe("held");
  renew("");
  await clock.advance(2_100);
  expect([observer.state, state.freed]).toEqual(["free", 2]);
});

it("a Lease does not count as lapsed while the API server cannot be reached", async () => {
  const { server, clock, observer, renew } = observing();
  renew();
  await clock.advance(100);
  server.before = () => Promise.reject(new KubeError("network", "no answer"));
  await clock.advance(60_000);
  expect(observer.state).toBe("held");
  renew();
  server.before = () => {};
  await clock.advance(2_100);
  expect(observer.state).toBe("held");
});

it("a Lease that may not be read is unknown", async () => {
  const { server, clock, observer, renew } = observing();
  renew();
  await clock.advance(100);
  expect(observer.state).toBe("held");
  server.before = () => Promise.reject(new KubeError("forbidden", "no"));
  await clock.advance(5_000);
  expect(observer.state).toBe("unknown");
});

it("ends when it is stopped", async () => {
  const { clock, stop, running } = observing();
  await clock.advance(100);
  stop.abort();
  await running;
  expect(clock.pending).toBe(0);
});
