const begun = performance.now();

/** Seconds since the program started. */
export function elapsed(): number {
  return (performance.now() - begun) / 1_000;
}

/** Prints a step with the time since the start. */
export function say(step: string): void {
  const seconds = Math.floor(elapsed());
  const clock = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
  process.stderr.write(`${clock.padStart(5)}  ${step}\n`);
}
