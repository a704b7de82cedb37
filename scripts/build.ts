import { chmod, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { build, type Plugin } from "esbuild";

/** Makes the bundled file that the image and the npm package run, and beside it that of its worker thread. */
const bundles = { "src/main.ts": "dist/keyferry.js", "src/values/worker.ts": "dist/keyferry-values.js" };

/**
 * client-node does nothing when it is loaded, though it does not say so. With that the bundle holds what is used of it:
 * KubeConfig, and none of its generated clients and models.
 */
const onlyWhatIsUsed: Plugin = {
  name: "only-what-is-used",
  setup({ onResolve, resolve }) {
    onResolve({ filter: /^(@kubernetes\/client-node$|\.\.?\/)/ }, async ({ path, pluginData, ...from }) => {
      if (pluginData === "resolved" || (path.startsWith(".") && !isClientNode(from.importer))) return undefined;
      return { ...(await resolve(path, { ...from, pluginData: "resolved" })), sideEffects: false };
    });
  },
};

/**
 * Of undici the program uses its agents; the index would bring WebSocket, caches and mocks along: 0.7 MB. Clients of
 * client-node, which the bundle does not hold, ask for its fetch: Node has the same.
 */
const undiciAgents: Plugin = {
  name: "undici-agents",
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^undici$/ }, ({ resolveDir }) => ({
      path: "undici",
      namespace: "agents",
      pluginData: resolveDir,
    }));
    onLoad({ filter: /.*/, namespace: "agents" }, ({ pluginData: resolveDir }) => ({
      // The first two lines are what its index does to every dispatcher.
      contents: `
        import Dispatcher from "undici/lib/dispatcher/dispatcher.js"; import api from "undici/lib/api/index.js";
        Object.assign(Dispatcher.prototype, api);
        export { default as Agent } from "undici/lib/dispatcher/agent.js";
        export { default as ProxyAgent } from "undici/lib/dispatcher/proxy-agent.js";
        export const fetch = globalThis.fetch;`,
      resolveDir: resolveDir as string,
    }));
  },
};

/**
 * Of the AWS Encryption SDK only its KMS keyrings are used, and those ask KMS through a port of our own: the parts that
 * bring clients of their own, DynamoDB's among them, stay out of the bundle.
 */
const onlyKeyrings: Plugin = {
  name: "only-keyrings",
  setup({ onResolve, onLoad }) {
    const unused =
      /^@(aws-crypto\/(branch-keystore-node|caching-materials-manager-node|raw-[a-z]+-keyring-node)|aws-sdk\/client-(kms|dynamodb))$/;
    onResolve({ filter: unused }, ({ path, importer }) =>
      importer.includes(join("node_modules", "@aws-crypto")) ? { path, namespace: "unused" } : undefined,
    );
    onLoad({ filter: /^/, namespace: "unused" }, () => ({ contents: "module.exports = {};" }));
  },
};

function isClientNode(file: string): boolean {
  return file.includes(join("node_modules", "@kubernetes", "client-node"));
}

for (const [entryPoint, outfile] of Object.entries(bundles)) {
  await build({
    entryPoints: [entryPoint],
    outfile,
    bundle: true,
    // Names stay as they are: for stack traces, and since libraries compare them. keepNames would give each closure its
    // name anew, each time that it is made.
    minifyWhitespace: true,
    minifySyntax: true,
    platform: "node",
    target: "node22",
    // Of ES modules the bundle takes only what is used, of CommonJS everything.
    mainFields: ["module", "main"],
    format: "esm",
    sourcemap: false,
    legalComments: "none",
    plugins: [onlyWhatIsUsed, undiciAgents, onlyKeyrings],
    // Some dependencies are CommonJS and ask for Node's own modules at run time.
    banner: {
      js: "import{createRequire as __createRequire}from'node:module';const require=__createRequire(import.meta.url);",
    },
    logLevel: "warning",
  });
  const text = await readFile(outfile, "utf8");
  const shebang = text.startsWith("#!") || entryPoint !== "src/main.ts" ? "" : "#!/usr/bin/env node\n";
  // esbuild leaves regular expressions as they are. A single letter outside Latin-1 doubles what V8 holds of the source.
  const ascii = text.replace(/[^\0-\x7f]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);
  await writeFile(outfile, shebang + ascii);
  await chmod(outfile, 0o755);
  process.stdout.write(`${outfile}: ${Math.round((await stat(outfile)).size / 1024)} KiB\n`);
}
