import { execFileSync } from "node:child_process";
import { createServer, request as requestTo, type Server } from "node:http";
import { createServer as createTlsServer, request as requestByTls } from "node:https";
import { type AddressInfo, connect } from "node:net";
import { join } from "node:path";

/** A private CA, and certificates that it issues. */
export interface OwnCa {
  /** The CA's certificate in PEM. */
  file: string;
  certificate(hosts: readonly string[]): { cert: string; key: string };
}

/** Makes a CA in a folder with openssl. */
export function makeCa(folder: string): OwnCa {
  const openssl = (args: string[]) =>
    execFileSync("openssl", args, { cwd: folder, stdio: ["ignore", "pipe", "ignore"] });
  const [file, caKey] = [join(folder, "ca.pem"), join(folder, "ca.key")];
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
  openssl(["req", "-x509", ...key, "-keyout", caKey, "-out", file, "-days", "2", "-subj", "/CN=Own CA"]);
  let made = 0;
  return {
    file,
    certificate(hosts) {
      const name = `leaf${made++}`;
      const names = `subjectAltName=${hosts.map((host) => `DNS:${host}`).join(",")}`;
      const by = ["-CA", file, "-CAkey", caKey, "-addext", names, "-days", "2", "-subj", "/CN=leaf"];
      openssl(["req", "-x509", ...key, "-keyout", `${name}.key`, "-out", `${name}.pem`, ...by]);
      const read = (ending: string) => execFileSync("cat", [join(folder, `${name}.${ending}`)], { encoding: "utf8" });
      return { cert: read("pem"), key: read("key") };
    },
  };
}

/** A proxy that supports CONNECT and records its requests. */
export interface ConnectProxy {
  /** `http://127.0.0.1:PORT`. */
  url: string;
  port: number;
  /** The targets of CONNECT, `host:port`, and the URLs of plain requests, in order. */
  asked: string[];
  close(): void;
}

/**
 * Starts a proxy.
 *
 * @param route maps a target to a local port; undefined refuses the request with 403
 * @param credentials the required `user:password`
 */
export async function startProxy(
  route: (target: string) => number | undefined,
  credentials?: string,
): Promise<ConnectProxy> {
  const asked: string[] = [];
  const wanted = credentials && `Basic ${Buffer.from(credentials).toString("base64")}`;
  const server = createServer((request, response) => {
    const url = new URL(request.url!);
    asked.push(url.href);
    const port = route(url.host);
    if (port === undefined) return void response.writeHead(403).end();
    const { method, headers } = request;
    const onward = requestTo({ port, method: method!, path: url.pathname + url.search, headers }, (answer) => {
      response.writeHead(answer.statusCode!, answer.headers);
      answer.pipe(response);
    });
    onward.on("error", () => response.destroy());
    request.pipe(onward);
  });
  server.on("connect", (request, socket, head) => {
    asked.push(request.url!);
    socket.on("error", () => {});
    if (wanted && request.headers["proxy-authorization"] !== wanted) {
      return void socket.end("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n");
    }
    const port = route(request.url!);
    if (port === undefined) return void socket.end("HTTP/1.1 403 Forbidden\r\n\r\n");
    const onward = connect(port, "127.0.0.1", () => {
      socket.write("HTTP/1.1 200 OK\r\n\r\n");
      onward.write(head);
      onward.pipe(socket).pipe(onward);
    });
    onward.on("error", () => socket.destroy());
  });
  const port = await listen(server);
  return { url: `http://127.0.0.1:${port}`, port, asked, close: () => void server.close() };
}

/** Starts a TLS server that forwards each request to another server, as a TLS-inspecting proxy does. */
export async function startTlsFront(
  { cert, key }: { cert: string; key: string },
  target: string,
): Promise<{ port: number; close(): void }> {
  const { hostname, port: targetPort, protocol } = new URL(target);
  const server = createTlsServer({ cert, key }, (request, response) => {
    const { method, url, headers } = request;
    const to = { hostname, port: targetPort, method: method!, path: url!, headers, rejectUnauthorized: false };
    const onward = (protocol === "https:" ? requestByTls : requestTo)(to, (answer) => {
      response.writeHead(answer.statusCode!, answer.headers);
      response.flushHeaders();
      answer.pipe(response);
    });
    onward.on("error", () => response.destroy());
    request.pipe(onward);
  });
  return { port: await listen(server), close: () => void server.close() };
}

function listen(server: Pick<Server, "listen" | "address">): Promise<number> {
  return new Promise((resolve) => {
    server.listen(0, "127.0.0.1", () => resolve((server.address() as AddressInfo).port));
  });
}
