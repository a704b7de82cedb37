// Builds and pushes the image of this machine's architecture.
//   in: REGISTRY, GITHUB_REPOSITORY, ARCH (amd64, arm64)    out: name, digest
//   files: dist/image/keyferry.oci.tar, dist/release/keyferry-ARCH.cdx.json
import { copyFileSync } from "node:fs";
import { join } from "node:path";
import { imageName, manifest, output, pushed, releaseFolder, repository, required, run } from "./step.ts";

const architecture = required("ARCH");
const tagged = `${imageName()}:${manifest().version}-${architecture}`;
console.log(run(process.execPath, ["scripts/image/build.ts"], { ...process.env, IMAGE: tagged }));
copyFileSync(
  join(repository, "dist/image/keyferry.cdx.json"),
  join(releaseFolder, `keyferry-${architecture}.cdx.json`),
);
output("name", imageName());
output("digest", pushed(["push"], tagged));
