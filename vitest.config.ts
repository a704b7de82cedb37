import { defineConfig } from "vitest/config";
import SlowestFirst from "./test/support/sequencer.ts";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    globalSetup: ["./test/cluster/global-setup.ts"],
    reporters: ["default", "./test/support/reporter.ts"],
    sequence: { sequencer: SlowestFirst },
    // A machine that does other things too is several times slower: how fast something is, a test says itself.
    testTimeout: 120_000,
    hookTimeout: 240_000,
    maxWorkers: 2,
  },
});
