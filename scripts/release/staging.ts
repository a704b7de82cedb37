import { cpSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { type Manifest, manifest, releaseFolder, repository } from "./step.ts";

/** Not published: the bundle holds every library, and nobody builds the package. */
const left = ["dependencies", "devDependencies", "allowScripts", "scripts"];

/**
 * The folder of the npm package: what package.json lists under files, the license and the README, and a package.json
 * without dependencies, so that an installation fetches nothing else. Throws if the bundle has not been built.
 */
export function stagePackage(): string {
  const folder = join(releaseFolder, "npm");
  rmSync(folder, { recursive: true, force: true });
  const published = manifest();
  for (const path of [...published.files, "LICENSE", "README.md"]) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    cpSync(join(repository, path), join(folder, path), { recursive: true });
  }
  const fields = Object.entries(published).filter(([field]) => !left.includes(field));
  writeFileSync(join(folder, "package.json"), `${JSON.stringify(Object.fromEntries(fields) as Manifest, null, 2)}\n`);
  return folder;
}
