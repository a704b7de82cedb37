import { setFlagsFromString } from "node:v8";
import { malloc } from "./malloc.ts";

/**
 * Settings that keep the program small, so that they hold however it is started. Loaded before anything else: what has
 * grown does not shrink.
 */

// The C library reads its settings when a process starts, so where the environment lacks them (the image has them) the
// process begins again as the same process: its id, its files and its terminal stay what they are.
if (process.platform === "linux" && process.argv[2] === "controller" && process.env.MALLOC_ARENA_MAX === undefined) {
  const node = [...process.execArgv, "--disable-sigusr1", ...youngGeneration()];
  const args = [process.execPath, ...node, ...process.argv.slice(1)];
  try {
    process.execve?.(process.execPath, args, { ...malloc, ...process.env });
  } catch {
    // Node's permission model forbids it: then it goes on as it is.
  }
}

/**
 * Those that V8 looks at while it runs.
 *
 * A first sync makes much garbage beside little that lives. V8 would let the young generation grow to 32 MiB and the
 * old one to twice what lives before it collects either: 193 MiB for 600 resources instead of 139.
 */
const settings = [
  // Where the process has begun without a word on the young generation, it stays at the 2 MiB that it has at the start.
  ...(says("semi-space-size") ? [] : ["--semi-space-growth-factor=1"]),
  // So little is collected sooner by one thread than by several that wait for each other.
  "--no-parallel-scavenge",
  // The old one is collected when it has grown by so many per cent since the last time.
  "--heap-growing-percent=30",
  // undici's parser of HTTP is WebAssembly, and one huge function. To optimize it takes 25 MB for a moment, of which 9
  // stay, and wins nothing that can be measured. It takes both.
  "--no-wasm-tier-up",
  "--no-wasm-dynamic-tiering",
  // Code of the second of the two middle compilers takes 9 MB for a fiftieth of the time; that of the first, 3 MB for
  // a twelfth.
  "--no-maglev",
];

for (const setting of settings) setFlagsFromString(setting);

/**
 * Up to 8 MiB, as the image has it: with 2 MiB a first sync takes a seventh more processor time, most of it to copy what
 * lives. What it has grown to goes back when the process is idle.
 */
function youngGeneration(): string[] {
  return says("semi-space-size") ? [] : ["--max-semi-space-size=8"];
}

/** Whether whoever started the program has set an option of Node's. */
function says(option: string): boolean {
  return [process.env.NODE_OPTIONS ?? "", ...process.execArgv].some((text) => text.includes(option));
}
