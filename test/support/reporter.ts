import type { Reporter, TestModule } from "vitest/node";

/**
 * Ends a run with a line for each failure, because the end of a long output is what people see first, and with one
 * plain line, `N passed, N failed`, for other tools to parse.
 */
export default class ClosingLine implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], errors: readonly unknown[]): void {
    let passed = 0;
    let failed = errors.length;
    let skipped = 0;
    const failures: string[] = errors.map((error) => `outside a test: ${firstLine([error])}`);
    for (const module of modules) {
      const tests = [...module.children.allTests()];
      // A hook that throws does not fail tests: they are skipped.
      for (const suite of [module, ...module.children.allSuites()]) {
        const problems = suite.errors();
        if (problems.length === 0) continue;
        failed += 1;
        failures.push(`${module.relativeModuleId}, a hook: ${firstLine(problems)}`);
      }
      for (const test of tests) {
        const { state, errors: problems } = test.result();
        if (state === "passed") passed += 1;
        else if (state === "failed") {
          failed += 1;
          failures.push(`${module.relativeModuleId} > ${test.fullName}: ${firstLine(problems)}`);
        } else skipped += 1;
      }
    }
    for (const failure of failures) process.stdout.write(`\nFAILED ${failure}`);
    process.stdout.write(`\n${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}\n`);
  }
}

const maxMessageLength = 300;

function firstLine(errors: readonly unknown[] | undefined): string {
  const message = (errors?.[0] as { message?: unknown } | undefined)?.message;
  return String(message ?? "no message")
    .split("\n", 1)[0]!
    .slice(0, maxMessageLength);
}
