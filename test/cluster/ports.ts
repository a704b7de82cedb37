import { createServer } from "node:net";

/** Ports of one process: 64 processes that run at the same time rarely share any. */
const portsEach = 199;
const slots = 64;
const first = 20_000 + (process.pid % slots) * portsEach;
let given = Math.floor(Math.random() * portsEach);

/**
 * A port of 127.0.0.1 on which nothing listens, another one at each call: what is to listen on the last one may not do so
 * yet. Taken from below 32768, where Linux begins to give ports to outgoing connections: a server that is stopped and
 * started again on its port (restart tests) finds it free, and its clients cannot connect to themselves meanwhile.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = first + (given++ % portsEach);
    if (await isFree(port)) return port;
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });
}
