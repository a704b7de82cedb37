import { execFile } from "node:child_process";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { parseAllDocuments } from "yaml";
import { type Rendered, template } from "./chart.ts";

const run = promisify(execFile);

interface TestPod extends Rendered {
  spec: { containers: { command: string[] }[] };
}

/** What the pod of `helm test` runs, with another URL. */
async function commandFor(url: string): Promise<string[]> {
  const { stdout } = await template({}, "--show-only", "templates/tests/ready.yaml");
  const documents = parseAllDocuments(stdout, { uniqueKeys: true });
  const objects = [...documents].map((document) => document.toJS() as Rendered);
  const pod = objects.find(({ kind }) => kind === "Pod") as TestPod;
  const [node, ...args] = pod.spec.containers[0]!.command;
  expect(node).toBe("node");
  expect(args.pop()).toBe("http://keyferry-test.ops.svc:8081/readyz");
  return [...args, url];
}

/** Calls `use` with the URL of a server that answers with these statuses in turn, the last one for ever. */
async function withServer(statuses: number[], use: (url: string) => Promise<void>): Promise<void> {
  const server = createServer((_, response) => {
    response.statusCode = statuses.length > 1 ? statuses.shift()! : statuses[0]!;
    response.end();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    await use(`http://127.0.0.1:${(server.address() as AddressInfo).port}/readyz`);
  } finally {
    server.close();
    server.closeAllConnections();
  }
}

test("helm test waits until the operator is ready", async () => {
  await withServer([503, 200], async (url) => {
    const { stdout } = await run(process.execPath, await commandFor(url));
    expect(stdout).toBe(`${url}: ready\n`);
  });
});

test("helm test fails with the last status of an operator that does not become ready", async () => {
  await withServer([503], async (url) => {
    const args = (await commandFor(url)).map((argument) => argument.replace("60000", "1500"));
    await expect(run(process.execPath, args)).rejects.toMatchObject({
      code: 1,
      stderr: expect.stringContaining("status 503"),
    });
  });
});
