/**
 * Shows on standard error that something long goes on: on a terminal one line that is written over every second,
 * elsewhere a new line every five seconds.
 *
 * @param what "Building kube-apiserver": without a full stop
 * @param detail what has been reached, asked at each showing
 */
export async function withProgress<T>(what: string, detail: () => string, work: () => Promise<T>): Promise<T> {
  const terminal = process.stderr.isTTY === true;
  const start = performance.now();
  const show = () => {
    const seconds = Math.round((performance.now() - start) / 1000);
    const elapsed = `${Math.floor(seconds / 60)}m${String(seconds % 60).padStart(2, "0")}s`;
    const line = [`${what}: ${elapsed}`, detail()].filter(Boolean).join(", ");
    process.stderr.write(terminal ? `\r\x1b[K${line.slice(0, (process.stderr.columns ?? 80) - 1)}` : `${line}\n`);
  };
  show();
  const timer = setInterval(show, terminal ? 1_000 : 5_000);
  try {
    return await work();
  } finally {
    clearInterval(timer);
    show();
    if (terminal) process.stderr.write("\n");
  }
}
