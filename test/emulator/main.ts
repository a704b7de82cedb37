import { startEmulator } from "./emulator.ts";

/**
 * The emulator as a process of its own: `node test/emulator/main.ts [--memory] [--quota N|none]`. Prints
 * `{"url", "motoUrl", "account"}` as one line of JSON when it is ready; ends on SIGTERM and SIGINT.
 */
const args = process.argv.slice(2);
const quota = args.includes("--quota") ? args[args.indexOf("--quota") + 1] : undefined;
const emulator = await startEmulator({
  reads: args.includes("--memory") ? "memory" : "moto",
  say: (line) => process.stderr.write(`${line}\n`),
  ...(quota === undefined ? {} : { quota: quota === "none" ? "none" : Number(quota) }),
});
const { url, motoUrl, account } = emulator;
process.stdout.write(`${JSON.stringify({ url, motoUrl, account })}\n`);

let stopping = false;
async function stop(): Promise<void> {
  if (stopping) return;
  stopping = true;
  await emulator.stop();
  process.exit(0);
}
process.on("SIGTERM", stop);
process.on("SIGINT", stop);
