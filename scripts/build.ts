import { chmod, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { build, type Plugin } from "esbuild";

/** The bundle that the image and the npm package run, of its worker thread, and of traces, loaded when they are on. */
const bundles = {
  "src/main.ts": "dist/keyferry.js",
  "src/values/worker.ts": "dist/keyferry-values.js",
  "src/cli/otlp-tracer.ts": "dist/keyferry-otlp.js",
};

/**
 * client-node has no side effects on load, but does not declare that. Declared, the bundle contains only KubeConfig,
 * and none of the generated clients and models.
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
 * The program uses only undici's agents; the index would add WebSocket, caches and mocks: 0.7 MB. client-node's
 * clients, which the bundle does not contain, import its fetch: Node has the same.
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
      // The first two lines equal the index's setup of every dispatcher.
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
 * The program uses only the KMS keyrings of the AWS Encryption SDK, with its own KMS client: the parts with other
 * clients, such as DynamoDB's, stay out of the bundle.
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

/** The SDK of OpenTelemetry is a bundle of its own: in the main one it would take memory while traces are off. */
const tracesApart: Plugin = {
  name: "traces-apart",
  setup({ onResolve }) {
    onResolve({ filter: /\/otlp-tracer\.ts$/ }, ({ kind }) =>
      kind === "dynamic-import" ? { path: "./keyferry-otlp.js", external: true } : undefined,
    );
  },
};

/**
 * An import of node:http evaluates all of its exports, which loads the undici within Node: 30 ms and 16 MB of the start. A
 * require evaluates only what is used.
 */
const httpByRequire: Plugin = {
  name: "http-by-require",
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^(node:)?http$/ }, ({ namespace }) =>
      namespace === "http" ? { path: "node:http", external: true } : { path: "node:http", namespace: "http" },
    );
    onLoad({ filter: /.*/, namespace: "http" }, () => ({ contents: 'module.exports = require("node:http");' }));
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
    // Names stay unchanged for stack traces, and because libraries compare them. keepNames would set each closure's
    // name on every creation.
    minifyWhitespace: true,
    minifySyntax: true,
    platform: "node",
    target: "node22",
    // The bundle contains only the used parts of ES modules, but all of a CommonJS module.
    mainFields: ["module", "main"],
    format: "esm",
    sourcemap: false,
    legalComments: "none",
    plugins: [httpByRequire, tracesApart, onlyWhatIsUsed, undiciAgents, onlyKeyrings],
    // Some dependencies are CommonJS and require Node's built-in modules at run time.
    banner: {
      js: "import{createRequire as __createRequire}from'node:module';const require=__createRequire(import.meta.url);",
    },
    logLevel: "warning",
  });
  const text = await readFile(outfile, "utf8");
  const shebang = text.startsWith("#!") || entryPoint !== "src/main.ts" ? "" : "#!/usr/bin/env node\n";
  // esbuild leaves regular expressions as they are. One character outside Latin-1 doubles V8's memory for the source.
  const ascii = text.replace(/[^\0-\x7f]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);
  await writeFile(outfile, shebang + ascii);
  await chmod(outfile, 0o755);
  process.stdout.write(`${outfile}: ${Math.round((await stat(outfile)).size / 1024)} KiB\n`);
}
