import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ensureHelm } from "../cluster/helm.ts";
import { freePort } from "../cluster/ports.ts";
import { until } from "../support/operator.ts";
import { type Supervised, startSupervised } from "../support/supervise.ts";

const run = promisify(execFile);
const root = join(import.meta.dirname, "..", "..");
/** Debian's package docker-registry. */
const missing = await run("docker-registry", ["--version"]).then(
  () => "",
  () => ": docker-registry is not installed",
);

let scratch: string;
let server: Supervised | undefined;
let registry: string;
beforeAll(async () => {
  if (missing) return;
  scratch = await mkdtemp(join(tmpdir(), "keyferry-registry-"));
  registry = `127.0.0.1:${await freePort()}`;
  const config = { version: 0.1, storage: { filesystem: { rootdirectory: scratch } }, http: { addr: registry } };
  await writeFile(join(scratch, "config.yml"), JSON.stringify(config));
  const logFile = join(scratch, "registry.log");
  const args = ["serve", join(scratch, "config.yml")];
  server = await startSupervised({ name: "docker-registry", command: "docker-registry", args, logFile });
  await until(async () => (await fetch(`http://${registry}/v2/`).catch(() => undefined))?.status === 200);
});
afterAll(async () => {
  await server?.stop();
  if (scratch) await rm(scratch, { recursive: true, force: true });
});

test.skipIf(missing)(`a pushed chart can be pulled by its digest from a real registry${missing}`, async () => {
  const settings = { REGISTRY: registry, RELEASE_FOLDER: join(scratch, "release"), GITHUB_OUTPUT: "" };
  const env = { ...process.env, GITHUB_REPOSITORY: "keyferry/keyferry", ...settings };
  const { stdout } = await run(process.execPath, [join(root, "scripts/release/chart.ts")], { env });
  const output = (name: string) => new RegExp(`^${name}=(.*)$`, "m").exec(stdout)![1]!;
  const reference = `oci://${output("name")}@${output("digest")}`;
  const pulled = await run(await ensureHelm(), ["show", "chart", reference, "--plain-http"]);
  expect(pulled.stdout).toContain("name: keyferry");
});
