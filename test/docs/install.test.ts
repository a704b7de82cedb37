import { spawn } from "node:child_process";
import { access, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parseAllDocuments } from "yaml";
import { root } from "../../scripts/crds.ts";
import { ensureHelm } from "../cluster/helm.ts";
import { sharedCluster } from "../cluster/shared.ts";
import { deploymentOf, type Rendered } from "../helm/chart.ts";
import { type Block, blocksOf, page, pages } from "./pages.ts";

/** Every `helm install` of the pages is carried out as `helm template`, with the commands around it, in a shell. */

const cluster = await sharedCluster();
const helm = await ensureHelm();
const installs = pages
  .flatMap(blocksOf)
  .filter(({ language, text }) => language === "sh" && text.includes("helm install"));
const stackValues = `clusterName: "prod-eu"
aws:
  region: eu-west-1
serviceAccount:
  name: keyferry
`;
/** The only programs that the shell finds. None of them leaves the machine. */
const programs = ["cat", "tr", "cut"];

let folder = "";
let namespace = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "keyferry-install-"));
  namespace = await cluster.freshNamespace("install");
  await mkdir(join(folder, "bin"));
  for (const name of programs) await symlink(await found(name), join(folder, "bin", name));
  await writeFile(join(folder, "values.yaml"), stackValues);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function found(name: string): Promise<string> {
  for (const place of ["/usr/bin", "/bin"]) {
    const path = join(place, name);
    if (
      await access(path).then(
        () => true,
        () => false,
      )
    )
      return path;
  }
  throw new Error(`there is no ${name}`);
}

/** Runs a block, and returns what the chart rendered, for the test's own namespace. */
async function rendered(block: Block): Promise<string> {
  const output = join(folder, `${block.page.replaceAll("/", "-")}-${block.number}.yaml`);
  const prelude = await readFile(join(import.meta.dirname, "install-commands.sh"), "utf8");
  const env = {
    ...{
      PATH: join(folder, "bin"),
      HOME: folder,
      HELM: helm,
      REGISTRY: "registry.example.com/platform",
      PULL_PASSWORD: "x",
    },
    ...{ VALUES: join(folder, "values.yaml"), RENDERED: output },
  };
  const script = `${prelude}\n${block.text.replaceAll(/--namespace keyferry\b/g, `--namespace ${namespace}`)}`;
  const shell = spawn("/bin/bash", ["-euo", "pipefail", "-c", script], {
    cwd: root,
    env,
    stdio: ["ignore", "pipe", "pipe"],
  });
  const ended = new Promise<number | null>((resolve) => shell.once("close", resolve));
  const [stderr, code] = await Promise.all([text(shell.stderr), ended, text(shell.stdout)]);
  expect([stderr, code]).toEqual(["", 0]);
  return readFile(output, "utf8");
}

function objectsIn(yaml: string): Rendered[] {
  const documents = parseAllDocuments(yaml);
  if (!Array.isArray(documents)) return [];
  return documents.map((document) => document.toJS() as Rendered | null).filter((object) => object !== null);
}

describe("the chart takes the values, and the API server the objects, of helm install in", () => {
  for (const block of installs) {
    test(`shell ${block.number} of ${block.page}`, async () => {
      const yaml = await rendered(block);
      const args = ["apply", "--server-side", "--force-conflicts", "--dry-run=server", "--validate=strict"];
      await cluster.run([...args, "--filename", "-"], yaml);
      const { containers } = deploymentOf(objectsIn(yaml)).spec.template.spec;
      if (block.page !== "docs/install.md") return;
      expect(containers[0]!.args).toEqual(
        expect.arrayContaining(["--cluster-name=prod-eu", "--default-connection-region=eu-west-1"]),
      );
      expect(containers[0]!.image).toMatch(
        /^registry\.(example\.com\/platform|corp\.example:5000\/mirror\/keyferry)\/keyferry[:@]/,
      );
    });
  }
});

test("docs/install.md has a path for each kind of cluster, each with helm install", () => {
  const sections = page("docs/install.md").text.split(/^## /m).slice(1);
  const paths = sections.filter((section) => section.includes("helm install keyferry"));
  const names = paths.map((section) => section.slice(0, section.indexOf("\n")));
  expect(names).toEqual(["EKS with Pod Identity", "EKS with IRSA", "kOps", "Self-managed", "OpenShift", "Air-gapped"]);
});
