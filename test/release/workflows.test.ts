import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";

const root = join(import.meta.dirname, "..", "..");
const folder = join(root, ".github", "workflows");

interface Step {
  name?: string;
  run?: string;
  uses?: string;
}
interface Job {
  permissions?: Record<string, string>;
  "timeout-minutes"?: number;
  steps: Step[];
}
interface Workflow {
  permissions: Record<string, string>;
  jobs: Record<string, Job>;
}

const workflows = readdirSync(folder).map(
  (name) => [name, parse(readFileSync(join(folder, name), "utf8")) as Workflow] as const,
);
/** Each test run begins with them. */
const tools = [".ci/run", "npm ci --no-audit --no-fund", "node scripts/build.ts"];
const stepsOf = (workflow: Workflow) => Object.values(workflow.jobs).flatMap(({ steps }) => steps);
const tested = readFileSync(join(import.meta.dirname, "release.test.ts"), "utf8");

describe.each(workflows)("the workflow %s", (_, workflow) => {
  test("runs only scripts of the repository, each of them tested", () => {
    const commands = stepsOf(workflow).flatMap(({ run }) => (run === undefined ? [] : [run]));
    expect(commands.length).toBeGreaterThan(0);
    for (const command of commands) {
      if (tools.includes(command)) continue;
      const [, script] = /^node scripts\/release\/([a-z]+)\.ts$/.exec(command) ?? [];
      expect(script, command).toBeDefined();
      expect(existsSync(join(root, "scripts", "release", `${script}.ts`)), command).toBe(true);
      // The image is built by buildah in test/image, and pushed as the list of images is.
      if (script !== "image") expect(tested).toContain(`step("${script}"`);
    }
  });

  test("may read the repository only, unless a job asks for more, and ends in time", () => {
    expect(workflow.permissions).toEqual({ contents: "read" });
    for (const job of Object.values(workflow.jobs)) expect(job["timeout-minutes"]).toBeLessThanOrEqual(90);
  });

  test("names a version of each action, and keeps no credentials in the checkout", () => {
    for (const { uses, ...step } of stepsOf(workflow)) {
      if (uses === undefined) continue;
      expect(uses).toMatch(/^[a-z-]+\/[a-z-]+@(v\d+|[0-9a-f]{40})$/);
      if (uses.startsWith("actions/checkout")) expect(step).toMatchObject({ with: { "persist-credentials": false } });
    }
  });
});

test("Node is of one version in .node-version and package.json", () => {
  const { devDependencies } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  expect(readFileSync(join(root, ".node-version"), "utf8")).toBe(`${devDependencies.node}\n`);
});

test("actionlint finds a wrong expression in a workflow", () => {
  const wrong =
    "on: push\njobs:\n  one:\n    runs-on: ubuntu-24.04\n    steps:\n      - run: echo\n        shell: none\n";
  const lint = () =>
    execFileSync(process.execPath, [join(root, "scripts/actionlint/run.ts"), "-"], {
      input: wrong,
      encoding: "utf8",
      stdio: "pipe",
    });
  expect(lint).toThrow(expect.objectContaining({ stdout: expect.stringContaining('shell name "none" is invalid') }));
});
