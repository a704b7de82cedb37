import pino from "pino";
import pretty from "pino-pretty";
import type { Log } from "../runtime/log.ts";
import type { ControllerFlags } from "./flags.ts";
import { causeOf, say } from "./output.ts";

/**
 * The program's log on standard output: JSON lines with `level`, `time` (RFC 3339) and `msg`, or a readable format on a
 * terminal. No field holds a secret's value: values are sealed, and print as `[sealed]`.
 */
export function makeLog(level: ControllerFlags["logLevel"], format: ControllerFlags["logFormat"]): Log {
  const isText = format === "text" || (format === "auto" && process.stdout.isTTY === true);
  const options = {
    level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
  };
  const destination = pino.destination({ fd: 1, sync: true });
  destination.once("error", ({ code }: NodeJS.ErrnoException) => {
    say(`keyferry: standard output cannot be written: ${causeOf(code)}`);
    process.exit(1);
  });
  if (!isText) return pino(options, destination);
  return pino(options, pretty({ destination, colorize: process.stdout.isTTY === true && !process.env.NO_COLOR }));
}
