import { execFile } from "node:child_process";
import { cp, mkdir, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

const exec = promisify(execFile);
const REPOSITORY = join(import.meta.dirname, "..", "..");

/** Builds the operator's image by the script of `make image`. @returns the path of an OCI archive, in which its name is `tag` */
export async function buildOperator(folder: string, tag: string): Promise<string> {
  const env = { ...process.env, IMAGE: tag, BUILD_IN: "here", OUTPUT: folder };
  await exec(process.execPath, [join(REPOSITORY, "scripts/image/build.ts")], { env });
  await exec("buildah", ["--storage-driver", "vfs", "rmi", "--force", tag]);
  return join(folder, "keyferry.oci.tar");
}

/** Programs of BusyBox that tests use. */
const APPLETS = ["sh", "cat", "sleep", "test", "touch"];

/** The image with nothing but BusyBox: for the container that holds a pod's namespaces, and for workloads. */
export const BUSYBOX_IMAGE = "localhost/busybox:1";

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
  // A storage of its own leaves nothing in the machine's.
  const storage = [
    "--storage-driver",
    "vfs",
    "--root",
    join(folder, "storage"),
    "--runroot",
    join(folder, "storage-run"),
  ];
  await exec("buildah", [...storage, "bud", "--quiet", "--isolation", "chroot", "--tag", BUSYBOX_IMAGE, context]);
  await exec("buildah", [...storage, "push", "--quiet", BUSYBOX_IMAGE, `docker-archive:${archive}`]);
  await rm(join(folder, "storage"), { recursive: true });
  return archive;
}
