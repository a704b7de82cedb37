import { readFile, writeFile } from "node:fs/promises";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

/** A TCP proxy in front of an API server, which a test can cut. */
export interface TcpProxy {
  port: number;
  /** From now on, no byte passes, and connections stay open: as with a network partition. */
  cut(): void;
  /** Ends the partition. Connections of the time before are closed. */
  mend(): void;
  close(): void;
}

/** Starts a proxy to a port of this machine. */
export async function startTcpProxy(target: number): Promise<TcpProxy> {
  const sockets = new Set<Socket>();
  let isCut = false;
  const server = createServer((client) => {
    const onward = connect(target, "127.0.0.1");
    for (const [from, to] of [
      [client, onward],
      [onward, client],
    ] as const) {
      sockets.add(from);
      from.on("data", (bytes) => !isCut && to.write(bytes));
      from.on("error", () => {});
      from.on("close", () => {
        sockets.delete(from);
        if (!isCut) to.destroy();
      });
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const drop = () => {
    for (const socket of sockets) socket.destroy();
  };
  return {
    port: (server.address() as AddressInfo).port,
    cut: () => {
      isCut = true;
    },
    mend: () => {
      drop();
      isCut = false;
    },
    close: () => {
      server.close();
      drop();
    },
  };
}

/** Writes a copy of a kubeconfig that leads through a proxy. */
export async function kubeconfigThrough(path: string, proxy: TcpProxy): Promise<string> {
  const text = await readFile(path, "utf8");
  const copy = `${path}.${proxy.port}`;
  await writeFile(copy, text.replaceAll(/(https:\/\/[^:\s"]+):\d+/g, `$1:${proxy.port}`));
  return copy;
}
