import { cp, mkdir, readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { startSupervised } from "../support/supervise.ts";

const REPOSITORY = join(import.meta.dirname, "..", "..");

/** The image with nothing but BusyBox: for the container that holds a pod's namespaces, and for workloads. */
export const BUSYBOX_IMAGE = "localhost/busybox:1";

/** Programs of BusyBox that tests use. */
const APPLETS = ["sh", "cat", "sleep", "test", "touch"];

/** Builds BUSYBOX_IMAGE. @returns the path of a Docker archive */
export async function buildBusyBox(folder: string): Promise<string> {
  const context = join(folder, "busybox");
  const bin = join(context, "root", "bin");
  await mkdir(bin, { recursive: true });
  await mkdir(join(context, "root", "tmp"));
  await cp("/bin/busybox", join(bin, "busybox"), { dereference: true });
  for (const applet of APPLETS) await symlink("busybox", join(bin, applet));
  const dockerfile = 'FROM scratch\nCOPY root/ /\nENTRYPOINT ["/bin/sleep", "2147483647"]\n';
  await writeFile(join(context, "Dockerfile"), dockerfile);
  const archive = join(folder, "busybox.tar");
  await run(folder, "buildah", ["bud", "--quiet", "--isolation", "chroot", "--tag", BUSYBOX_IMAGE, context]);
  await run(folder, "buildah", ["push", "--quiet", BUSYBOX_IMAGE, `docker-archive:${archive}`]);
  return archive;
}

/** Builds the operator's image by the script of `make image`. @returns the path of an OCI archive, in which its name is `tag` */
export async function buildOperator(folder: string, tag: string): Promise<string> {
  const env = { IMAGE: tag, BUILD_IN: "here", OUTPUT: folder };
  await run(folder, process.execPath, [join(REPOSITORY, "scripts/image/build.ts")], env);
  return join(folder, "keyferry.oci.tar");
}

/** Runs a program that ends with this process. Buildah's images and all temporary files stay in the folder. */
async function run(folder: string, command: string, args: string[], env: Record<string, string> = {}): Promise<void> {
  const [storage, logFile] = [join(folder, "storage.conf"), join(folder, "build.log")];
  const [images, state] = [join(folder, "images"), join(folder, "images-state")];
  await writeFile(storage, `[storage]\ndriver = "vfs"\ngraphroot = "${images}"\nrunroot = "${state}"\n`);
  const own = { CONTAINERS_STORAGE_CONF: storage, TMPDIR: folder };
  const program = await startSupervised({ name: command, command, args, env: { ...own, ...env }, logFile });
  const code = await program.exited;
  if (code !== 0) throw new Error(`${command} ended with ${code}: ${await readFile(logFile, "utf8")}`);
}
