import { readFile, writeFile } from "node:fs/promises";
import { cpus } from "node:os";
import { parseArgs } from "node:util";
import metadata from "../package.json" with { type: "json" };
import { Ground } from "./ground.ts";
import { elapsed, say } from "./progress.ts";
import type { Row } from "./rows/row.ts";
import { rows } from "./rows.ts";
import { type Results, tableOf } from "./table.ts";

/**
 * Measures times and memory of the built program, each with the machine's limit measured in the same run.
 *
 * `node bench/main.ts [--only ROW,ROW] [--scale 0.2] [--table]`: runs the rows in sequence, reports each step on
 * standard error, and prints the results as a table in Markdown; the raw data is in bench/results.json. `--table` prints
 * the table of the last run.
 */
const resultsFile = "bench/results.json";
const { values: flags } = parseArgs({
  options: { only: { type: "string" }, scale: { type: "string", default: "1" }, table: { type: "boolean" } },
});
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  // The supervisor ends with this process, and ends the started programs.
  process.once(signal, () => process.exit(130));
}

if (flags.table) console.log(tableOf(JSON.parse(await readFile(resultsFile, "utf8")) as Results));
else await run(chosen(flags.only), Number(flags.scale));

function chosen(only: string | undefined): Row[] {
  const wanted = only?.split(",");
  const unknown = wanted?.filter((name) => !rows.some((row) => row.name === name)) ?? [];
  if (unknown.length > 0) throw new Error(`no such row: ${unknown}; there are ${rows.map(({ name }) => name)}`);
  return rows.filter(({ name }) => wanted?.includes(name) ?? true);
}

async function run(wanted: Row[], scale: number): Promise<void> {
  const { node } = process.versions;
  const processors = cpus();
  const machine = { processor: processors[0]?.model ?? "unknown", processors: processors.length };
  const startedAt = new Date().toISOString();
  const results: Results = {
    node,
    version: metadata.version,
    ...machine,
    startedAt,
    seconds: 0,
    scale,
    figures: [],
    failures: [],
  };
  say("starting a control plane and the emulator");
  const ground = await Ground.open(scale);
  try {
    for (const [index, row] of wanted.entries()) {
      say(`[${index + 1}/${wanted.length}] ${row.name}: ${row.about}`);
      await measure(row, ground, results);
    }
  } finally {
    await ground.close();
  }
  results.seconds = elapsed();
  await writeFile(resultsFile, `${JSON.stringify(results, null, 2)}\n`);
  console.log(tableOf(results));
}

/** Runs one row. A failed row does not stop the others. */
async function measure(row: Row, ground: Ground, results: Results): Promise<void> {
  try {
    for (const figure of await row.run(ground)) {
      results.figures.push({ row: row.name, ...figure });
      say(`  ${figure.what}: ${figure.value === null ? "none" : Number(figure.value.toFixed(2))} ${figure.unit}`);
    }
  } catch (error) {
    const { message } = error as Error;
    say(`  failed: ${message}\n${await ground.lastWords().catch(() => "")}`);
    results.failures.push({ row: row.name, message });
    process.exitCode = 1;
  }
  await ground.stopOperators();
}
