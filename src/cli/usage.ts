/** A command line that does not say what to do; the message says what would. It never repeats what may be a value. */
export class UsageError extends Error {}

/** Why a value is not taken from the command line, for the end of a message. */
export const neverAnArgument =
  "a value is never an argument, where the shell's history and the list of processes keep it: give it on standard input, or as a file";

/** What commander says of a command line, as one line of ours: its suggestion would be a second one. */
export function oneLine(text: string): string {
  return `keyferry: ${text
    .replace(/^error: /, "")
    .trimEnd()
    .replaceAll("\n", " ")}`;
}
