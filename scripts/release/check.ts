// Refuses a tag that is not the version of package.json, the chart and the changelog.
//   in: GITHUB_REF_NAME (the tag)    out: version
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { notesOf } from "./notes.ts";
import { chartVersions, manifest, output, repository, required } from "./step.ts";

const { version } = manifest();
const chart = chartVersions();
const problems: string[] = [];
if (required("GITHUB_REF_NAME") !== `v${version}`) problems.push(`package.json has version ${version}`);
if (chart.version !== version) problems.push(`helm/keyferry/Chart.yaml has version ${chart.version}`);
if (chart.appVersion !== version) problems.push(`helm/keyferry/Chart.yaml has appVersion ${chart.appVersion}`);
if (!notesOf(readFileSync(join(repository, "CHANGELOG.md"), "utf8"), version)) {
  problems.push(`CHANGELOG.md has no section "## ${version}"`);
}
if (problems.length > 0) {
  console.error(`the tag ${required("GITHUB_REF_NAME")} cannot be released: ${problems.join("; ")}`);
  process.exit(1);
}
output("version", version);
