import { readFile } from "node:fs/promises";

/** Memory of a process in MB (10⁶ bytes). */
export interface Memory {
  /** Resident set size. */
  resident: number;
  /** Proportional set size: shared pages are divided among their processes. */
  proportional: number;
  /** Resident anonymous memory: the program's own data. */
  anonymous: number;
  /** Peak resident set size. */
  peak: number;
}

/** Memory of a process by its id (Linux: proc(5)). */
export async function memoryOf(pid: number): Promise<Memory> {
  const [status, rollup] = await Promise.all([
    readFile(`/proc/${pid}/status`, "utf8"),
    readFile(`/proc/${pid}/smaps_rollup`, "utf8"),
  ]);
  return {
    resident: megabytes(status, "VmRSS"),
    proportional: megabytes(rollup, "Pss"),
    anonymous: megabytes(status, "RssAnon"),
    peak: megabytes(status, "VmHWM"),
  };
}

/** Processor seconds that a process has used so far, in user and in kernel mode. */
export async function cpuSecondsOf(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8");
  // The name, in parentheses, may hold spaces. Fields 14 and 15 of proc_pid_stat(5), in ticks of 10 ms.
  const fields = stat.slice(stat.lastIndexOf(") ") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

function megabytes(text: string, field: string): number {
  const kibibytes = new RegExp(`^${field}:\\s+([0-9]+) kB`, "m").exec(text)?.[1];
  if (kibibytes === undefined) throw new Error(`the kernel does not tell ${field}`);
  return (Number(kibibytes) * 1_024) / 1e6;
}

/** The note of a resident figure. */
export function besides({ proportional, anonymous, peak }: Memory): string {
  const of = (megabytes: number) => megabytes.toFixed(0);
  return `Pss ${of(proportional)}, anonymous ${of(anonymous)}, peak ${of(peak)} MB`;
}
