/** An incomplete or invalid command line; the message tells what to write. It never repeats what may be a value. */
export class UsageError extends Error {}

/** Why values are not accepted as arguments: the end of a message. */
export const neverAnArgument =
  "a value is never an argument, where the shell's history and the list of processes keep it: give it on standard input, or as a file";

/** Shortens commander's error to one line, without its suggestion. */
export function oneLine(text: string): string {
  return `keyferry: ${text
    .replace(/^error: /, "")
    .trimEnd()
    .replaceAll("\n", " ")}`;
}
