import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import type { DebianPackage } from "./libraries.ts";

/** What the image contains besides npm packages. */
interface Runtime {
  /** Node's version, without a v. */
  node: string;
  packages: DebianPackage[];
}

interface Component {
  type: string;
  name: string;
  version: string;
  purl: string;
  "bom-ref": string;
}

/** The parts of a CycloneDX document that differ from run to run, or that are added to. */
interface Bill {
  serialNumber: string;
  metadata: { timestamp: string; component: { name: string } };
  components: Component[];
}

/**
 * The image's bill of materials as CycloneDX JSON: npm's of the packages in the bundle, with Node and the shared
 * libraries. Equal input gives equal bytes: the time is SOURCE_DATE_EPOCH (seconds since 1970, default 0), and the
 * serial number is made from the content.
 *
 * @param repository the folder with package-lock.json
 */
export async function sbom(repository: string, runtime: Runtime): Promise<string> {
  const args = [
    "sbom",
    "--package-lock-only",
    "--omit",
    "dev",
    "--sbom-format",
    "cyclonedx",
    "--sbom-type",
    "application",
  ];
  const output = execFileSync("npm", args, { cwd: repository, encoding: "utf8", maxBuffer: 2 ** 26 });
  return stable(JSON.parse(output) as Bill, runtime, Number(process.env.SOURCE_DATE_EPOCH ?? 0));
}

/** @param epoch seconds since 1970 */
export function stable(bill: Bill, runtime: Runtime, epoch: number): string {
  const { serialNumber: _, ...rest } = bill;
  const content = {
    ...rest,
    metadata: {
      ...bill.metadata,
      timestamp: new Date(epoch * 1000).toISOString(),
      // npm names it after the folder.
      component: { ...bill.metadata.component, name: "keyferry" },
    },
    components: [...bill.components, ...componentsOf(runtime)],
  };
  const hash = createHash("sha256").update(JSON.stringify(content)).digest("hex");
  // RFC 9562, version 8: an identifier made by a rule of one's own.
  const uuid = `${hash.slice(0, 8)}-${hash.slice(8, 12)}-8${hash.slice(13, 16)}-8${hash.slice(17, 20)}-${hash.slice(20, 32)}`;
  return `${JSON.stringify({ ...content, serialNumber: `urn:uuid:${uuid}` }, null, 2)}\n`;
}

function componentsOf({ node, packages }: Runtime): Component[] {
  const nodejs = { type: "platform", name: "node", version: node, purl: `pkg:generic/node@${node}` };
  const libraries = packages.map(({ name, version, architecture }) => ({
    type: "library",
    name,
    version,
    purl: `pkg:deb/debian/${name}@${encodeURIComponent(version)}?arch=${architecture}`,
  }));
  return [nodejs, ...libraries].map((one) => ({ ...one, "bom-ref": one.purl }));
}
