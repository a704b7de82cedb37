import type { Command } from "commander";
import { stringify } from "yaml";
import { Identities } from "../aws/identity.ts";
import { refusedTargetMetadata } from "../controllers/syncedsecret/plan/target-metadata.ts";
import type { SecretIntent } from "../kube/write/secret.ts";
import { Metrics } from "../metrics/metrics.ts";
import { systemClock } from "../runtime/clock.ts";
import { Failure } from "../runtime/failure.ts";
import { Proxies } from "../runtime/proxies.ts";
import { environmentsRegion, silent, warnOfEndpoint } from "./aws.ts";
import { allowedTargetMetadataOption } from "./flags.ts";
import { Granting } from "./granting.ts";
import { type ManifestFlags, nameOf, readManifests } from "./manifests.ts";
import { print, say } from "./output.ts";
import { type Rendered, Rendering } from "./render-secret.ts";
import { UsageError } from "./usage.ts";
import { version } from "./version.ts";
import { forCommand } from "./words.ts";

/** The flags of `keyferry render` as commander gives them. */
export interface RenderFlags extends ManifestFlags {
  output: string;
  showValues?: true;
  clusterName?: string;
  allowedTargetMetadata?: string[];
  region?: string;
  allowInsecureEndpoints?: true;
}

/** Declares the flags of `keyferry render`. */
export function addRenderOptions(command: Command): void {
  addManifestOptions(command)
    .description("Print the Secrets that the operator would make of manifests, values masked. Needs no cluster.")
    .option("-o, --output <format>", "yaml or json", "yaml")
    .option("--show-values", "print the values, in base64 as a Secret has them")
    .option("--cluster-name <name>", "the operator's --cluster-name; for connections with binding")
    .addOption(allowedTargetMetadataOption())
    .option(
      "--region <region>",
      "AWS region of connections that are not given; that of the AWS environment when left out",
    )
    .option("--allow-insecure-endpoints", "take plain-http and local endpoints, and AWS_ENDPOINT_URL: for emulators");
}

/** Declares the manifest flags of `render`, `policy` and `cost`. */
export function addManifestOptions(command: Command): Command {
  const each = (value: string, before: string[] = []) => [...before, value];
  return command
    .argument("[files...]", "manifests of SyncedSecrets and connections; - or none for standard input")
    .option("--connection <file>", "manifest of a connection; several times", each)
    .option("--namespace <namespace>", "namespace of manifests that name none");
}

/**
 * Prints the Secrets that can be built, and the problems of the others.
 *
 * @returns the exit code: 1 if a manifest cannot be used, or its Secret cannot be built
 * @throws UsageError, Failure
 */
export async function runRender(flags: RenderFlags, files: readonly string[]): Promise<number> {
  const {
    output,
    showValues = false,
    allowedTargetMetadata = [],
    clusterName = "",
    region,
    allowInsecureEndpoints = false,
  } = flags;
  if (output !== "yaml" && output !== "json") throw new UsageError("--output must be yaml or json");
  const manifests = await readManifests(files, flags);
  warnOfEndpoint(allowInsecureEndpoints);
  const identities = new Identities({
    ...{ clock: systemClock, metrics: new Metrics(), log: silent },
    ...{ allowInsecureEndpoints, userAgent: `keyferry/${version}`, clusterName, proxies: new Proxies(process.env) },
  });
  const granting = new Granting({
    manifests,
    clusterName,
    // The user's credentials replace the operator's identity and static keys; the roles after that are the
    // connection's.
    identities: { get: (spec) => identities.get({ ...spec, credentials: { kind: "default" } }) },
    account: async (_, of) => (await of.of("").caller()).account,
    region: async () => region ?? (await environmentsRegion()),
  });
  const rendering = new Rendering();
  // The operator's timers do not keep a process alive.
  const alive = setInterval(() => {}, 60_000);
  const secrets: object[] = [];
  const problems = [...manifests.problems];
  try {
    for (const resource of manifests.syncedSecrets) {
      const name = nameOf(resource);
      if (resource.spec.suspend) {
        say(`keyferry: ${name} is suspended: its Secret is left alone`);
        continue;
      }
      const refused = refusedTargetMetadata(resource.spec.target, allowedTargetMetadata);
      if (refused) {
        problems.push(`${name}: ${forCommand(refused)}`);
        continue;
      }
      const made = await granting
        .of(resource)
        .then(({ granted }) => rendering.secret(resource, granted))
        .catch((error: unknown): Rendered => {
          if (!(error instanceof Failure)) throw error;
          return { ok: false, problems: [error] };
        });
      if (made.ok) secrets.push(showValues ? made.secret : masked(made.secret, made.sizes));
      else problems.push(...made.problems.map((failure) => `${name}: ${forCommand(failure)}`));
    }
  } finally {
    clearInterval(alive);
    rendering.close();
    identities.close();
  }
  print(printed(secrets, output));
  for (const problem of problems) say(`keyferry: ${problem}`);
  return problems.length > 0 ? 1 : 0;
}

/** A Secret that shows only the sizes of its values. */
function masked(secret: SecretIntent, sizes: ReadonlyMap<string, number>): SecretIntent {
  const data = [...sizes].map(([key, size]) => [key, `<masked, ${size} ${size === 1 ? "byte" : "bytes"}>`]);
  return { ...secret, data: Object.fromEntries(data) };
}

function printed(secrets: readonly object[], output: "yaml" | "json"): string {
  if (secrets.length === 0) return "";
  if (output === "yaml") return secrets.map((secret) => stringify(secret, { lineWidth: 0 })).join("---\n");
  const whole = secrets.length === 1 ? secrets[0] : { apiVersion: "v1", kind: "List", items: secrets };
  return `${JSON.stringify(whole, undefined, 2)}\n`;
}
