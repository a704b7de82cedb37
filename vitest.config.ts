import { defineConfig } from "vitest/config";
import SlowestFirst from "./test/support/sequencer.ts";

/**
 * Files in a process of their own: they measure its memory or CPU time, change its environment, which the AWS SDK reads
 * once, or mostly work with other processes.
 */
const alone = [
  "test/*/{chain,identity,web-identity}.test.ts",
  "test/cli/meter.test.ts",
  "test/model/schedules-*.test.ts",
  "test/parameters/**/{churn,entry-memory,expiries,large-paths,poller,reader-lanes}.test.ts",
  "test/values/{assembler,cost}.test.ts",
  "test/controllers/*.test.ts",
  "test/controllers/rollout/{revert,revert-schedules,rollout,schedules}.test.ts",
  "test/{bench,cloudformation,cluster,e2e,emulator,helm,image,release,upgrade}/**/*.test.ts",
];

/** Files that use a real node: they measure times, so they run last, and nothing else with them. */
const node = ["test/node/**/*.test.ts"];

/** Files of several minutes that `make test` leaves out: `make monitoring` and `make ha`. */
const campaigns = process.env.CAMPAIGNS ? [] : ["test/e2e/monitoring.test.ts", "test/e2e/hand-over/campaign.test.ts"];

/** Files that load modules anew for each test, which only Vite's imports can do. */
const reloading = ["test/aws/own-credentials.test.ts"];

const common = {
  // Node imports TypeScript itself. Vite's imports slow every access down: by a quarter in the random schedules.
  experimental: { viteModuleRunner: false },
  // A machine that does other things too is several times slower: how fast something is, a test says itself.
  testTimeout: 120_000,
  hookTimeout: 240_000,
  // More than the two cores of a small machine: many files mostly wait for processes and timers.
  maxWorkers: 3,
};

const withNode = [{ test: { ...common, name: "node", include: node, sequence: { groupOrder: 1 } } }];

export default defineConfig({
  test: {
    ...common,
    globalSetup: ["./test/cluster/global-setup.ts"],
    reporters: ["default", "./test/support/reporter.ts"],
    sequence: { sequencer: SlowestFirst },
    // A file costs 0.7 s of CPU time for its process and imports: all other files share two processes.
    projects: [
      { test: { ...common, name: "alone", include: alone, exclude: campaigns } },
      {
        test: {
          ...common,
          name: "shared",
          isolate: false,
          include: ["test/**/*.test.ts"],
          exclude: [...alone, ...reloading, ...node],
        },
      },
      { test: { ...common, name: "reloading", experimental: { viteModuleRunner: true }, include: reloading } },
      ...(process.env.WITH_NODE ? withNode : []),
    ],
  },
});
