import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { keyferry, loggedIn } from "../cli/run.ts";
import { until } from "../support/operator.ts";
import { removeAtEnd } from "../support/supervise.ts";
import { openStage } from "./stage.ts";

const stage = await openStage();
const { cluster, aws } = stage;
afterAll(() => stage.close());

it("the built program encrypts by a key, by a message and offline, and the operator opens all of them", async () => {
  const folder = await mkdtemp(join(tmpdir(), "keyferry-encrypt-"));
  removeAtEnd(folder);
  const [key, rsa] = [await aws.createKey(), await aws.createKey({ spec: "RSA_2048", usage: "ENCRYPT_DECRYPT" })];
  const { PublicKey } = await aws.direct("kms", "GetPublicKey", { KeyId: rsa });
  const publicKey = join(folder, "public-key");
  await writeFile(publicKey, `${PublicKey}`);
  await stage.connect({ binding: { scope: "Name", allowUnbound: true } });
  const bind = ["--bind", "default/NAME", "--cluster-name", "prod"];
  const ways: Record<string, string[]> = {
    blob: ["--key", key, ...bind],
    message: ["--key", key, "--encryption-sdk", ...bind],
    offline: ["--key", rsa, "--public-key", publicKey],
  };
  for (const [name, way] of Object.entries(ways)) {
    const args = way.map((text) => text.replace("NAME", name));
    const command = ["encrypt", "--manifest", name, "--namespace", "default", "--data-key", "K"];
    const options = { input: `value of ${name}`, env: loggedIn(aws.url) };
    const made = await keyferry([...command, ...args, "--allow-insecure-endpoints"], options);
    expect(made).toMatchObject({ code: 0, err: "" });
    const manifest = name === "offline" ? made.out.replace("algorithm:", "bound: false\n        algorithm:") : made.out;
    await cluster.run(["apply", "-f", "-"], manifest);
  }
  const operator = await stage.operator(["--cluster-name", "prod"]);
  const value = (name: string) => cluster.run(["get", "secret", name, "-o", "jsonpath={.data.K}"]).catch(() => "");
  for (const name of Object.keys(ways)) {
    await until(async () => (await value(name)) !== "", 20_000, `Secret ${name}`);
    expect(Buffer.from(await value(name), "base64").toString()).toBe(`value of ${name}`);
  }
  expect(await operator.log()).not.toContain("value of");
  await operator.stop();
});
