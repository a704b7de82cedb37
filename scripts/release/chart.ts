// Packages the chart and pushes it as an OCI artifact.
//   in: REGISTRY, GITHUB_REPOSITORY    out: name, digest    files: dist/release/keyferry-VERSION.tgz
import { join } from "node:path";
import { helm } from "./helm.ts";
import { chartVersions, digestIn, imageName, isLocal, output, publish, releaseFolder, run } from "./step.ts";

const command = await helm();
const { version } = chartVersions();
run(command, ["package", "helm/keyferry", "--destination", releaseFolder]);
const charts = `${imageName().split("/").slice(0, -1).join("/")}/charts`;
// Plain HTTP is for a registry on this machine.
const plain = isLocal() ? ["--plain-http"] : [];
const archive = join(releaseFolder, `keyferry-${version}.tgz`);
const answer = publish(command, ["push", archive, `oci://${charts}`, ...plain]);
output("name", `${charts}/keyferry`);
output("digest", digestIn(answer));
