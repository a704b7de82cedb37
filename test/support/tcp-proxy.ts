import { readFile, writeFile } from "node:fs/promises";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

/** A TCP proxy in front of an API server, which a test can cut. */
export interface TcpProxy {
  port: number;
  /** From now on, no byte passes, and connections stay open: as with a network partition. */
  cut(): void;
  /** From now on, bytes to the API server wait: as in a slow network. */
  hold(): void;
  /** Passes the bytes that wait, and those that come. */
  release(): void;
  /** Ends the partition. Connections of the time before are closed. */
  mend(): void;
  close(): void;
}

/** Starts a proxy to a port of this machine. */
export async function startTcpProxy(target: number): Promise<TcpProxy> {
  const sockets = new Set<Socket>();
  let isCut = false;
  let held: (() => void)[] | undefined;
  const server = createServer((client) => {
    const onward = connect(target, "127.0.0.1");
    for (const [from, to] of [
      [client, onward],
      [onward, client],
    ] as const) {
      sockets.add(from);
      from.on("data", (bytes) => {
        if (isCut) return;
        if (held && from === client) held.push(() => to.write(bytes));
        else to.write(bytes);
      });
      from.on("error", () => {});
      from.on("close", () => {
        sockets.delete(from);
        if (isCut) return;
        // As a kernel does: what was sent before the close arrives.
        if (held && from === client) held.push(() => to.end());
        else to.destroy();
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
    hold: () => {
      held ??= [];
    },
    release: () => {
      const waiting = held ?? [];
      held = undefined;
      for (const pass of waiting) pass();
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
