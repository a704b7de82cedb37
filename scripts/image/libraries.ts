import { execFileSync } from "node:child_process";

/** A shared library that a program loads at its start. */
export interface Library {
  /** Where the program's loader looks for it: `/lib/x86_64-linux-gnu/libc.so.6`. */
  path: string;
  /** Debian's package of it; undefined on a machine without dpkg, or for a file that no package owns. */
  package: DebianPackage | undefined;
}

export interface DebianPackage {
  name: string;
  version: string;
  architecture: string;
  /** The package's entry in /var/lib/dpkg/status, by which scanners find its vulnerabilities. */
  status: string;
}

/** The shared libraries of a program, its loader among them, in the order of their paths. Throws without `ldd`. */
export function librariesOf(program: string): Library[] {
  const paths = pathsOf(execFileSync("ldd", [program], { encoding: "utf8" }));
  return paths.map((path) => ({ path, package: packageOf(path) }));
}

/**
 * The paths in the output of ldd, sorted. The kernel's own library (linux-vdso) has none.
 * Throws for a library that the loader does not find.
 */
export function pathsOf(ldd: string): string[] {
  const missing = /^\s*(\S+) => not found/m.exec(ldd)?.[1];
  if (missing) throw new Error(`ldd does not find the shared library ${missing}.`);
  return [...ldd.matchAll(/(?:=> |^\s*)(\/\S+) \(0x/gm)].map(([, path]) => path!).sort();
}

/** dpkg records a file under /lib or /usr/lib, whichever its package has; on a merged file system both are one. */
function packageOf(path: string): DebianPackage | undefined {
  for (const candidate of [path, `/usr${path}`, path.replace(/^\/usr/, "")]) {
    const owner = output("dpkg-query", ["--search", candidate])?.split(": ")[0];
    const status = owner && output("dpkg-query", ["--status", owner]);
    if (!status) continue;
    const field = (name: string) => new RegExp(`^${name}: (.*)$`, "m").exec(status)?.[1] ?? "";
    return { name: field("Package"), version: field("Version"), architecture: field("Architecture"), status };
  }
  return undefined;
}

function output(command: string, args: string[]): string | undefined {
  try {
    return execFileSync(command, args, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
  } catch {
    return undefined;
  }
}
