// Makes the archive and the manifest of the kubectl plugin, for krew-index.
//   in: GITHUB_SERVER_URL, GITHUB_REPOSITORY    files: dist/release/kubectl-keyferry-VERSION.tar.gz, keyferry.yaml
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { stringify } from "yaml";
import { stagePackage } from "./staging.ts";
import { manifest, releaseFolder, required, run } from "./step.ts";

const { version, homepage } = manifest();
const archive = `kubectl-keyferry-${version}.tar.gz`;
const folder = stagePackage();
// One order, owner and time of files: equal content makes an equal archive.
const epoch = process.env.SOURCE_DATE_EPOCH ?? run("git", ["log", "-1", "--format=%ct"]).trim();
const equal = ["--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--mode=u=rwX,go=rX", `--mtime=@${epoch}`];
const packed = ["--use-compress-program", "gzip -n", "-cf", join(releaseFolder, archive)];
run("tar", [...equal, ...packed, "-C", folder, "dist", "LICENSE", "package.json"]);
const sha256 = createHash("sha256")
  .update(readFileSync(join(releaseFolder, archive)))
  .digest("hex");

const uri = `${required("GITHUB_SERVER_URL")}/${required("GITHUB_REPOSITORY")}/releases/download/v${version}/${archive}`;
const platforms = ["linux", "darwin"].flatMap((os) =>
  ["amd64", "arm64"].map((arch) => ({
    selector: { matchLabels: { os, arch } },
    uri,
    sha256,
    bin: "dist/keyferry.js",
  })),
);
const plugin = {
  apiVersion: "krew.googlecontainertools.github.com/v1alpha2",
  kind: "Plugin",
  metadata: { name: "keyferry" },
  spec: {
    version: `v${version}`,
    homepage,
    shortDescription: "Sync AWS parameters and KMS blobs into Secrets",
    description: "Encrypts values for SyncedSecrets, previews their Secrets, and prints IAM policies and costs.\n",
    caveats: "Needs Node 22.21 or later in PATH as node.\n",
    platforms,
  },
};
writeFileSync(join(releaseFolder, "keyferry.yaml"), stringify(plugin, { aliasDuplicateObjects: false }));
