import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { cached } from "../../test/cluster/cache.ts";

/** The folders of the Terraform module, from the repository's root. */
export const modules = ["aws/terraform", "aws/terraform/policies"];

/**
 * The path of the program of this folder, which reads Terraform's modules. Go builds it once into the user's cache,
 * in about a quarter of a minute. Rejects if Go is missing or fails.
 */
export async function terraformTool(): Promise<string> {
  const hash = createHash("sha256");
  for (const file of (await readdir(import.meta.dirname)).sort()) {
    if (/\.(go|mod|sum)$/.test(file)) hash.update(await readFile(join(import.meta.dirname, file)));
  }
  const folder = await cached(`terraform-tool-${hash.digest("hex").slice(0, 16)}`, async (into) => {
    process.stderr.write("Building the reader of Terraform modules (once)\n");
    // GOFLAGS and GOWORK of the user's must not reach a module that is complete in itself.
    const env = { ...process.env, CGO_ENABLED: "0", GOFLAGS: "", GOWORK: "off" };
    const args = ["build", "-trimpath", "-o", join(into, "terraform-tool"), "."];
    const { status, error } = spawnSync("go", args, { cwd: import.meta.dirname, env, stdio: ["ignore", 2, 2] });
    if (status !== 0) throw new Error(`go build failed: ${error?.message ?? `exit ${status}`}`);
  });
  return join(folder, "terraform-tool");
}
