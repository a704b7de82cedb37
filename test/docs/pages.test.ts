import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { describe, expect, test } from "vitest";
import { root } from "../../scripts/crds.ts";
import { Metrics } from "../../src/metrics/metrics.ts";
import { keyferry } from "../cli/run.ts";
import { anchorsOf, blocksOf, codeIn, page, pages, proseOf } from "./pages.ts";

describe("every link has a target:", () => {
  for (const one of pages) {
    test(one.path, () => {
      const dead = linksOf(one.path, proseOf(one)).filter((link) => !leadsSomewhere(one.path, link));
      expect(dead).toEqual([]);
    });
  }
});

function linksOf(_path: string, text: string): string[] {
  const links = [...text.matchAll(/\]\(([^)\s]+)\)/g)].map(([, link]) => link!);
  return links.filter((link) => !/^[a-z]+:/.test(link));
}

function leadsSomewhere(from: string, link: string): boolean {
  const [path = "", anchor] = link.split("#");
  const target = path === "" ? from : relative(root, join(root, dirname(from), path));
  if (!existsSync(join(root, target))) return false;
  if (anchor === undefined) return true;
  const there = pages.find((one) => one.path === target);
  return there !== undefined && anchorsOf(there).has(anchor);
}

test("no page has a section twice", () => {
  const twice = pages.flatMap((one) => {
    const sections = [...proseOf(one).matchAll(/^## (.+)$/gm)].map(([, heading]) => heading!);
    return sections
      .filter((heading, at) => sections.indexOf(heading) !== at)
      .map((heading) => `${one.path}: ${heading}`);
  });
  expect(twice).toEqual([]);
});

test("README.md links to every page of docs/", () => {
  const linked = linksOf("README.md", page("README.md").text).map((link) => link.split("#")[0]);
  const all = pages.map(({ path }) => path).filter((path) => /^docs\/[^/]+$/.test(path));
  expect(all.filter((path) => !linked.includes(path))).toEqual([]);
});

test("every mentioned metric exists", async () => {
  const known = new Set((await new Metrics().registry.getMetricsAsJSON()).map(({ name }) => name));
  const ending = /_(bucket|sum|count)$/;
  const isKnown = (name: string) => known.has(name) || known.has(name.replace(ending, ""));
  for (const { path, text } of pages) {
    const named = [...text.matchAll(/\bkeyferry_[a-z_]*[a-z]\b/g)].map(([name]) => name);
    // The table of the audit is a table of the reader's own.
    const unknown = named.filter((name) => !isKnown(name) && name !== "keyferry_audit");
    expect(unknown, path).toEqual([]);
  }
});

/** Paths of the fields of all kinds, as the reference has them. */
const fields = ["syncedsecret", "awsconnection", "clusterawsconnection"].flatMap((kind) =>
  [...page(`docs/reference/${kind}.md`).text.matchAll(/^\| `((?:spec|status)\.[^`]+)`/gm)].map(([, path]) => path!),
);

/** How a page begins the path of a field, from wherever it is clear. */
const fieldStart =
  /^(spec|status|refresh|target|allow|auth|binding|limits|endpoints|assumeRole\[\]|data\[\]|dataFrom\[\]|kms|encryptionSDK|parameter|path|sources\[\])\./;

describe("every mentioned field exists:", () => {
  for (const one of pages) {
    test(one.path, () => {
      const named = codeIn(one).map((code) => code.split(/[:= ]/)[0]!);
      const paths = named.filter((code) => fieldStart.test(code) && !/[/(@]|\.(ts|md|json|pem|yaml)$/.test(code));
      const isField = (path: string) => fields.some((field) => `.${field}`.endsWith(`.${path.replace(/\[\]$/, "")}`));
      expect(paths.filter((path) => !isField(path.replace(/\[\d+\]/g, "[]")))).toEqual([]);
    });
  }
});

describe("shell and JSON blocks are well-formed:", () => {
  for (const block of pages.flatMap(blocksOf)) {
    const { language, text } = block;
    if (language === "json") test(`JSON ${block.number} of ${block.page}`, () => void JSON.parse(text));
    if (language !== "sh") continue;
    test(`shell ${block.number} of ${block.page}`, () => {
      const { stderr, status } = spawnSync("bash", ["-n"], { input: text, encoding: "utf8" });
      expect({ stderr, status }).toEqual({ stderr: "", status: 0 });
    });
  }
});

test("every mentioned template parameter and output exists", () => {
  const folder = join(root, "aws");
  const files = readdirSync(folder).filter((file) => file.endsWith(".yaml"));
  const templates = files.map((file) => readFileSync(join(folder, file), "utf8"));
  const names = new Set(templates.flatMap((text) => [...text.matchAll(/^ {2}([A-Z]\w+):/gm)].map(([, name]) => name!)));
  const shell = pages.flatMap(blocksOf).filter(({ language }) => language === "sh");
  const deployed = shell.filter(({ text }) => text.includes("aws cloudformation"));
  const overrides = deployed.flatMap(({ text }) =>
    [...text.matchAll(/(?<=[\s"])([A-Z]\w+)=/g)].map(([, name]) => name!),
  );
  const outputs = deployed.flatMap(({ text }) => [...text.matchAll(/OutputKey=='(\w+)'/g)].map(([, name]) => name!));
  expect(overrides).toContain("ClusterName");
  expect(outputs).toContain("HelmValues");
  expect([...overrides, ...outputs].filter((name) => !names.has(name))).toEqual([]);
});

/** The flags of each command by its help, each with its short form or itself. */
async function flags(): Promise<Map<string, Map<string, string>>> {
  const commands = commandsIn((await keyferry(["--help"])).out);
  const helps = await Promise.all(
    commands.map(async (name) => [name, (await keyferry([name, "--help"])).out] as const),
  );
  return new Map(
    helps.map(([name, help]) => [name, new Map(flagsIn(help).map((flag) => [flag, shortOf(help, flag)]))]),
  );
}

function shortOf(help: string, flag: string): string {
  return new RegExp(`(-[a-zA-Z]), ${flag}\\b`).exec(help)?.[1] ?? flag;
}

function commandsIn(help: string): string[] {
  const [, list = ""] = help.split("Commands:\n");
  const names = [...list.matchAll(/^ {2}([a-z]+)/gm)].map(([, name]) => name!);
  return names.filter((name) => name !== "help");
}

function flagsIn(text: string): string[] {
  return [...text.matchAll(/(?<![\w-])--[a-z][a-z-]*[a-z]/g)].map(([flag]) => flag);
}

/** Programs of others, whose flags are theirs. */
const others =
  /^(aws|kubectl|helm|openssl|base64|jq|make|node|aws-encryption-cli|vitest|docker|skopeo|kops|oc|terraform|tofu)\b/;

describe("every mentioned flag exists", async () => {
  const known = await flags();
  const any = new Map([...known.values()].flatMap((some) => [...some]));
  const isMissing = (code: string) => {
    const command = /\bkeyferry ([a-z]+)/.exec(code)?.[1];
    const has = command !== undefined && known.has(command) ? known.get(command)! : any;
    return flagsIn(code).filter((flag) => !has.has(flag));
  };

  test("the program has commands, each with help", () => {
    expect([...known.keys()]).toEqual(expect.arrayContaining(["controller", "encrypt", "reencrypt"]));
    // Of `version` there is --help alone.
    for (const [name, some] of known) expect(some.size, name).toBeGreaterThan(name === "version" ? 0 : 1);
  });

  for (const one of pages) {
    test(`in ${one.path}`, () => {
      const inline = codeIn(one).filter((code) => !others.test(code));
      const shell = blocksOf(one).filter(({ language }) => language === "sh" || language === "");
      const commands = shell.flatMap(({ text }) => commandLinesOf(text));
      expect([...inline, ...commands].flatMap(isMissing)).toEqual([]);
    });
  }

  test("docs/cli.md has every flag of the user commands, each in its command's section", () => {
    const sections = page("docs/cli.md").text.split(/^## /m);
    for (const [name, some] of known) {
      if (name === "controller") continue;
      const section = sections.find((text) => text.startsWith(`keyferry ${name}\n`)) ?? "";
      const text = `${sections[0]}${section}`;
      const unsaid = [...some].filter(([flag, short]) => !text.includes(flag) && !text.includes(`\`${short} `));
      expect(
        unsaid.map(([flag]) => flag),
        name,
      ).toEqual(["--help"]);
    }
  });
});

/** The calls of keyferry in a block of shell, each with its continued lines. */
function commandLinesOf(text: string): string[] {
  const lines = text.replace(/\\\n/g, " ").split("\n");
  return lines
    .flatMap((line) => line.split(/ [|>] |\$\(/))
    .filter((part) => /^\s*keyferry [a-z]/.test(part))
    .map((part) => part.trim());
}

test("docs/operations.md has every flag of the operator", async () => {
  const { out } = await keyferry(["controller", "--help"]);
  const text = page("docs/operations.md").text;
  expect(flagsIn(out).filter((flag) => flag !== "--help" && !text.includes(flag))).toEqual([]);
});

test("the API version of the reference is the one of the manifests", () => {
  const versions = new Set(pages.flatMap(({ text }) => text.match(/keyferry\.io\/v1[a-z0-9]+/g) ?? []));
  expect([...versions]).toEqual(["keyferry.io/v1alpha1"]);
  expect(readFileSync(join(root, "src/api/annotations.ts"), "utf8")).toContain('"keyferry.io/v1alpha1"');
});
