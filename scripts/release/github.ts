// Makes the release on GitHub from the files in dist/release, with signed checksums.
//   in: GITHUB_REF_NAME, GH_TOKEN (of gh)
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { notesOf } from "./notes.ts";
import { manifest, publish, releaseFolder, repository, required } from "./step.ts";

const { version } = manifest();
const path = (name: string) => join(releaseFolder, name);
const names = readdirSync(releaseFolder).filter((name) =>
  /^(kubectl-)?keyferry.*\.(tgz|tar\.gz|json|yaml)$/.test(name),
);
const sums = names.sort().map(
  (name) =>
    `${createHash("sha256")
      .update(readFileSync(path(name)))
      .digest("hex")}  ${name}\n`,
);
writeFileSync(path("SHA256SUMS"), sums.join(""));
publish("cosign", ["sign-blob", "--yes", "--bundle", path("SHA256SUMS.sigstore.json"), path("SHA256SUMS")]);

writeFileSync(path("notes.md"), notesOf(readFileSync(join(repository, "CHANGELOG.md"), "utf8"), version));
const files = [...names, "SHA256SUMS", "SHA256SUMS.sigstore.json"].map(path);
const kind = version.includes("-") ? ["--prerelease"] : [];
const options = ["--verify-tag", "--title", `Keyferry ${version}`, "--notes-file", path("notes.md"), ...kind];
publish("gh", ["release", "create", required("GITHUB_REF_NAME"), ...options, ...files]);
