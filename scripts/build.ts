import { chmod, readFile, stat, writeFile } from "node:fs/promises";
import { build } from "esbuild";

/** Makes the one bundled file that the image and the npm package run. */
const outfile = "dist/keyferry.js";

await build({
  entryPoints: ["src/main.ts"],
  outfile,
  bundle: true,
  minify: true,
  keepNames: true,
  platform: "node",
  target: "node22",
  format: "esm",
  sourcemap: false,
  legalComments: "none",
  // Some dependencies are CommonJS and ask for Node's own modules at run time.
  banner: {
    js: "import{createRequire as __createRequire}from'node:module';const require=__createRequire(import.meta.url);",
  },
  logLevel: "warning",
});
const text = await readFile(outfile, "utf8");
if (!text.startsWith("#!")) await writeFile(outfile, `#!/usr/bin/env node\n${text}`);
await chmod(outfile, 0o755);
process.stdout.write(`${outfile}: ${Math.round((await stat(outfile)).size / 1024)} KiB\n`);
