// Lints .github/workflows with actionlint, which Go builds once into the user's cache. Exits as actionlint does.
import { spawnSync } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { cached } from "../../test/cluster/cache.ts";

const MODULE = "github.com/rhysd/actionlint";

const goMod = await readFile(join(import.meta.dirname, "go.mod"), "utf8");
const version = new RegExp(`require ${MODULE} (v\\S+)`).exec(goMod)?.[1];
if (!version) throw new Error(`scripts/actionlint/go.mod requires no ${MODULE}.`);
const folder = await cached(`actionlint-${version}`, async (into) => {
  process.stderr.write(`Building actionlint ${version} (once)\n`);
  // GOFLAGS and GOWORK of the user's must not reach a module that is complete in itself.
  const env = { ...process.env, CGO_ENABLED: "0", GOFLAGS: "", GOWORK: "off" };
  const args = ["build", "-trimpath", "-o", `${into}/`, `${MODULE}/cmd/actionlint`];
  const { status, error } = spawnSync("go", args, { cwd: import.meta.dirname, env, stdio: "inherit" });
  if (status !== 0) throw new Error(`go build of actionlint failed: ${error?.message ?? `exit ${status}`}`);
});
// What shellcheck and pyflakes find depends on the machine, and a step is a script's call.
const args = ["-shellcheck=", "-pyflakes=", ...process.argv.slice(2)];
process.exitCode = spawnSync(join(folder, "actionlint"), args, { stdio: "inherit" }).status ?? 1;
