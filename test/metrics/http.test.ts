import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { remembered, serve } from "../../src/metrics/http.ts";
import { Metrics } from "../../src/metrics/metrics.ts";
import { paced } from "../../src/runtime/paced.ts";
import { FakeClock } from "../support/clock.ts";

const ends: (() => void)[] = [];
afterEach(() => {
  for (const end of ends.splice(0)) end();
});

/** A server with one path, `/ok`. */
async function serving(): Promise<number> {
  const { server, port } = await serve(
    { host: "127.0.0.1", port: 0 },
    new Map([["/ok", () => ({ status: 200, body: "ok\n" })]]),
  );
  ends.push(() => server.close().closeAllConnections());
  return port;
}

async function silentSocket(port: number, text = ""): Promise<Socket> {
  const socket = connect(port, "127.0.0.1");
  socket.on("error", () => {});
  ends.push(() => socket.destroy());
  await once(socket, "connect");
  if (text !== "") socket.write(text);
  return socket;
}

const ok = async (port: number) => (await fetch(`http://127.0.0.1:${port}/ok`)).text();

describe("the HTTP server for metrics and probes", () => {
  it("answers while a client holds hundreds of idle connections", async () => {
    const port = await serving();
    for (let index = 0; index < 300; index++)
      await silentSocket(port, index % 2 ? "GET /ok HTTP/1.1\r\nhost: x\r\n" : "");
    expect(await ok(port)).toBe("ok\n");
  });

  it("closes a connection whose request does not arrive within seconds", async () => {
    const port = await serving();
    const socket = await silentSocket(port, "GET /ok HTTP/1.1\r\n");
    const start = performance.now();
    // Send a header from time to time.
    const dripping = setInterval(() => socket.write("a: b\r\n"), 200);
    socket.resume();
    await new Promise((resolve) => socket.once("close", resolve));
    clearInterval(dripping);
    expect(performance.now() - start).toBeLessThan(8_000);
  }, 15_000);

  it("refuses headers over 8 KiB, and answers only GET on its paths", async () => {
    const port = await serving();
    const large = await fetch(`http://127.0.0.1:${port}/ok`, { headers: { a: "x".repeat(9_000) } });
    expect(large.status).toBe(431);
    expect((await fetch(`http://127.0.0.1:${port}/ok`, { method: "POST", body: "x" })).status).toBe(404);
    expect((await fetch(`http://127.0.0.1:${port}/__proto__`)).status).toBe(404);
  });

  it("answers a hundred requests of a connection, and then closes it", async () => {
    const port = await serving();
    const socket = await silentSocket(port, "GET /ok HTTP/1.1\r\nhost: x\r\n\r\n".repeat(500));
    let text = "";
    socket.on("data", (bytes) => {
      text += bytes;
    });
    await once(socket, "close");
    expect(text.match(/200 OK/g)).toHaveLength(100);
  });

  it("rejects if its port is in use", async () => {
    const port = await serving();
    await expect(serve({ host: "127.0.0.1", port }, new Map())).rejects.toMatchObject({ code: "EADDRINUSE" });
  });
});

describe("the page of metrics", () => {
  it("is generated once for all requests within a second", async () => {
    const clock = new FakeClock();
    let made = 0;
    const page = remembered(clock, 1_000, async () => {
      made += 1;
      await new Promise<void>((resolve) => clock.setTimer(resolve, 300));
      return made;
    });
    const first = Promise.all(Array.from({ length: 20 }, page));
    await clock.advance(300);
    expect(await first).toEqual(Array(20).fill(1));
    await clock.advance(999);
    expect(await page()).toBe(1);
    await clock.advance(1);
    const next = page();
    await clock.advance(300);
    expect(await next).toBe(2);
  });

  it("is rate limited after a burst", async () => {
    const clock = new FakeClock();
    let given = 0;
    const page = paced(clock, { burst: 3, perSecond: 10 }, async () => {
      given += 1;
    });
    void Promise.all(Array.from({ length: 10 }, page));
    await clock.advance(0);
    expect(given).toBe(3);
    await clock.advance(250);
    expect(given).toBe(5);
    await clock.advance(10_000);
    expect(given).toBe(10);
    void Promise.all(Array.from({ length: 10 }, page));
    await clock.advance(0);
    expect(given).toBe(13);
  });

  it("is generated again at once after a failure", async () => {
    const answers = [Promise.reject(new Error("x")), Promise.resolve("page")];
    const page = remembered(new FakeClock(), 1_000, () => answers.shift()!);
    await expect(page()).rejects.toThrow("x");
    expect(await page()).toBe("page");
  });

  it("has every series in prom-client's format, and yields to the event loop", async () => {
    const metrics = new Metrics();
    for (let index = 0; index < 5_000; index++) {
      metrics.ready.set(`ns-${index % 7}/name-${index}`, index % 2);
      metrics.lastSuccess.set(`ns-${index % 7}/name-${index}`, 1_790_000_000.125 + index);
    }
    metrics.syncs.inc({ result: "ok", reason: "Synced" });
    let turns = 0;
    let isMade = false;
    const count = () => {
      turns += 1;
      if (!isMade) setImmediate(count);
    };
    setImmediate(count);
    const lines = (text: string) => text.split("\n").filter((line) => line !== "");
    const page = await metrics.page();
    isMade = true;
    expect(turns).toBeGreaterThanOrEqual(5);
    expect(lines(page.toString())).toEqual(lines(await metrics.registry.metrics()));
  });
});
