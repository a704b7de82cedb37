import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";

/** What a path answers with. */
export interface Answer {
  status: number;
  contentType?: string;
  body: string;
}

/**
 * Serves GET requests on fixed paths and nothing else.
 *
 * @param address host undefined for every interface; port 0 for a free one
 * @returns the server and the port that it listens on; rejects where the port is taken
 */
export async function serve(
  address: { host: string | undefined; port: number },
  paths: ReadonlyMap<string, () => Answer | Promise<Answer>>,
): Promise<{ server: Server; port: number }> {
  const server = createServer({ requestTimeout: 10_000, headersTimeout: 10_000 }, (request, response) => {
    const handler = request.method === "GET" ? paths.get((request.url ?? "").split("?")[0]!) : undefined;
    const answering = handler ? Promise.resolve().then(handler) : Promise.resolve({ status: 404, body: "not found\n" });
    answering
      .catch((): Answer => ({ status: 500, body: "internal error\n" }))
      .then(({ status, contentType = "text/plain; charset=utf-8", body }: Answer) => {
        response.writeHead(status, { "content-type": contentType }).end(body);
      });
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(address.port, address.host, () => resolve());
  });
  server.unref();
  return { server, port: (server.address() as AddressInfo).port };
}
