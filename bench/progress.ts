const begun = performance.now();

/** Seconds since the program began. */
export function elapsed(): number {
  return (performance.now() - begun) / 1_000;
}

/** Tells of a step on the screen, with the time that has passed since the start. */
export function say(step: string): void {
  const seconds = Math.floor(elapsed());
  const clock = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
  process.stderr.write(`${clock.padStart(5)}  ${step}\n`);
}
