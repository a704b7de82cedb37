import { setFlagsFromString } from "node:v8";

/**
 * Settings of V8 that it looks at while it runs, so that they hold however the program is started. Loaded before
 * anything else: what has grown does not shrink.
 *
 * A first sync makes much garbage beside little that lives. V8 would let the young generation grow to 32 MiB and the
 * old one to twice what lives before it collects either: 193 MiB for 600 resources instead of 139.
 */
const settings = [
  // The young generation stays at the 2 MiB that it has at the start, unless NODE_OPTIONS says how large it may be.
  ...(says("semi-space-size") ? [] : ["--semi-space-growth-factor=1"]),
  // So little is collected sooner by one thread than by several that wait for each other.
  "--no-parallel-scavenge",
  // The old one is collected when it has grown by so many per cent since the last time.
  "--heap-growing-percent=30",
];

for (const setting of settings) setFlagsFromString(setting);

/** Whether whoever started the program has set an option of Node's. */
function says(option: string): boolean {
  return [process.env.NODE_OPTIONS ?? "", ...process.execArgv].some((text) => text.includes(option));
}
