import { BaseSequencer, type TestSpecification } from "vitest/node";

/** The files that take longest, longest first. A file that is not listed takes under a minute. */
const slowest = [
  "test/model/schedules-1.test.ts",
  "test/model/schedules-2.test.ts",
  "test/e2e/hand-over/hand-over.test.ts",
  "test/values/cost.test.ts",
  "test/e2e/kill.test.ts",
  "test/controllers/rollout/schedules.test.ts",
  "test/e2e/counts.test.ts",
  "test/e2e/access.test.ts",
  "test/controllers/bad-input.test.ts",
  "test/controllers/kms-blobs.test.ts",
  "test/controllers/failover.test.ts",
  "test/e2e/slow-connection.test.ts",
  "test/controllers/unavailable.test.ts",
];

/**
 * Starts the slowest files first, so that both workers end at the same time. Vitest itself knows durations from the
 * previous run only, and goes by a file's size in a fresh clone. Files of one project stay together: a worker serves
 * the next file only of the same project.
 */
export default class SlowestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    return sorted.sort((a, b) => a.project.name.localeCompare(b.project.name) || rankOf(a) - rankOf(b));
  }
}

function rankOf({ moduleId }: TestSpecification): number {
  const index = slowest.findIndex((file) => moduleId.endsWith(`/${file}`));
  return index === -1 ? slowest.length : index;
}
