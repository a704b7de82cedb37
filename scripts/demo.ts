import { mkdtemp, readdir, readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parse } from "yaml";
import colors from "yoctocolors";
import { startCluster } from "../test/cluster/cluster.ts";
import { connectionTo } from "../test/e2e/stage.ts";
import { startEmulator } from "../test/emulator/emulator.ts";
import { startOperator, until } from "../test/support/operator.ts";
import { removeAtEnd } from "../test/support/supervise.ts";

/** Starts everything on this machine, demonstrates the operator, and stops everything. */

const keep = process.argv.includes("--keep");
const namespace = "shop";
interface Parameter {
  name: string;
  type: "String" | "SecureString";
  value: string;
}
const begun = performance.now();

const say = (text: string) => console.log(`${colors.bold("==>")} ${text}`);
const show = (text: string) => console.log(text.trimEnd().replace(/^/gm, "    "));
const took = (since: number) => `${((performance.now() - since) / 1_000).toFixed(2)} s`;

const closers: (() => Promise<unknown>)[] = [];
async function close(): Promise<void> {
  for (const stop of closers.splice(0).reverse()) await stop().catch(() => {});
}
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => {
    say("stopping");
    void close().then(() => process.exit(130));
  });
}

try {
  await demonstrate();
} catch (error) {
  console.error(colors.red(`the demo failed: ${(error as Error).message}`));
  process.exitCode = 1;
} finally {
  await close();
}

async function demonstrate(): Promise<void> {
  say("starting a control plane: etcd, kube-apiserver, kube-controller-manager");
  const cluster = await startCluster({ crds: "crds" });
  closers.push(() => cluster.stop());
  const kubectl = (args: string[], input?: string) => cluster.run(args, input);

  say("starting an AWS emulator: Parameter Store, KMS and STS behind one endpoint");
  const aws = await startEmulator();
  closers.push(() => aws.stop());

  say("putting parameters into it, SecureStrings among them");
  const parameters = parse(await readFile("examples/parameters.yaml", "utf8")) as Parameter[];
  for (const parameter of parameters) await aws.putParameter(parameter);
  show(parameters.map(({ name, type }) => `${name} (${type})`).join("\n"));
  const key = await aws.createKey({ alias: "alias/shop" });
  const ciphertext = await aws.encrypt({ keyId: key, plaintext: "a license", context: { team: "shop" } });

  say("starting the operator");
  const folder = await mkdtemp(join(tmpdir(), "keyferry-demo-"));
  removeAtEnd(folder);
  const operator = await startOperator({
    kubeconfig: cluster.kubeconfigPath,
    folder,
    args: ["--cluster-name", "demo"],
  });
  closers.push(() => operator.stop());

  say(`applying a connection to the emulator, and examples/ in namespace ${namespace}`);
  await kubectl(
    ["apply", "--filename", "-"],
    connectionTo(aws.url, {
      pollInterval: "10s",
      allow: { namespaces: { names: [namespace] }, parameters: ["/{namespace}/*"], keyIds: [key] },
    }),
  );
  await kubectl(["create", "namespace", namespace]);
  await kubectl(["create", "secret", "generic", "registry", "--from-literal=user=shop", "--namespace", namespace]);
  await kubectl(["annotate", "secret", "registry", "keyferry.io/allow-merge=registry", "--namespace", namespace]);
  let since = performance.now();
  for (const file of await readdir("examples")) {
    if (!file.endsWith(".yaml") || file === "parameters.yaml" || file.startsWith("connection-")) continue;
    // One example has a placeholder for the reader's own blob.
    const text = (await readFile(join("examples", file), "utf8"))
      .replace(/ciphertext: .+/, `ciphertext: ${ciphertext}`)
      .replace(/keyId: .+/, `keyId: ${key}`);
    await kubectl(["apply", "--server-side", "--filename", "-"], text);
  }
  await kubectl(["wait", "--for=condition=Ready", "--timeout=60s", "syncedsecret", "--all", "--namespace", namespace]);
  show(await kubectl(["get", "syncedsecrets", "--namespace", namespace]));
  show(`all are Ready ${took(since)} after the first was applied`);

  say("the Secret's keys (values are not shown)");
  show(await kubectl(["describe", "secret", "checkout", "--namespace", namespace]));

  say("changing the parameter /shop/db-password: the Secret follows at the next poll, which decrypts nothing else");
  since = performance.now();
  const version = await aws.putParameter({ name: "/shop/db-password", type: "SecureString", value: "a new password" });
  const current = async () => (await secretValue(kubectl, "first", "DB_PASSWORD")) === "a new password";
  await until(current, 40_000, "the new version");
  show(`version ${version} is in Secret first after ${took(since)} (the connection polls every 10 s)`);

  say("editing the Secret by hand: it is put back");
  since = performance.now();
  await kubectl([
    "patch",
    "secret",
    "first",
    "--namespace",
    namespace,
    "--patch",
    '{"data":{"DB_PASSWORD":"aGFja2Vk"}}',
  ]);
  await until(current, 20_000, "the repair");
  show(`put back after ${took(since)}`);

  if (keep) return stayUp(cluster.kubeconfigPath, aws.url, operator.metricsUrl, operator.logFile);

  say("deleting the SyncedSecret: its Secret goes with it");
  since = performance.now();
  await kubectl(["delete", "syncedsecret", "first", "--namespace", namespace]);
  const gone = async () => (await cluster.kubectl(["get", "secret", "first", "--namespace", namespace])).code !== 0;
  await until(gone, 40_000, "the Secret's deletion");
  show(`gone after ${took(since)}`);

  say(`what AWS was asked, in all`);
  show(
    aws
      .calls()
      .map(({ service, operation, count }) => `${service}:${operation} ${count}`)
      .join("\n"),
  );
  say(`done after ${took(begun)}`);
}

async function secretValue(kubectl: (args: string[]) => Promise<string>, name: string, key: string): Promise<string> {
  const encoded = await kubectl([
    "get",
    "secret",
    name,
    "--namespace",
    namespace,
    "--output",
    `jsonpath={.data.${key}}`,
  ]);
  return Buffer.from(encoded, "base64").toString("utf8");
}

async function stayUp(kubeconfig: string, url: string, metrics: string, log: string): Promise<void> {
  say("staying up until Ctrl-C; in another terminal:");
  const credentials =
    "AWS_ACCESS_KEY_ID=AKIAKEYFERRYTEST AWS_SECRET_ACCESS_KEY=any AWS_REGION=eu-west-1 AWS_DEFAULT_REGION=eu-west-1";
  show(
    [
      `export KUBECONFIG=${kubeconfig} ${credentials} AWS_ENDPOINT_URL=${url}`,
      `kubectl get syncedsecrets,secrets --namespace ${namespace}`,
      "kubectl explain syncedsecret.spec --recursive",
      `aws ssm put-parameter --name /${namespace}/db-password --type SecureString --overwrite --value another`,
      `kubectl get secret first --namespace ${namespace} --watch`,
      `curl ${metrics}`,
      `tail -f ${log}`,
    ].join("\n"),
  );
  await new Promise(() => setInterval(() => {}, 60_000));
}
