import { expect, it } from "vitest";
import { makeClients } from "../../src/aws/clients.ts";
import { Sealed } from "../../src/runtime/sealed.ts";

const settings = {
  ...{ allowInsecureEndpoints: false, userAgent: "keyferry/1" },
  ...{ connectTimeoutMs: 1_000, callTimeoutMs: 1_000 },
};
const credentials = async () => ({ accessKeyId: "a", secretAccessKey: "b" });

/** The host that an STS client of a region calls. */
async function hostOf(region: string, more: { useFIPS?: boolean; useDualStack?: boolean } = {}) {
  const secretAccessKey = Sealed.text("b");
  const source = { kind: "static", accessKeyId: "a", secretAccessKey } as const;
  const clients = makeClients({ region, credentials: source, ...more }, settings, credentials);
  const hosts: string[] = [];
  for (const client of [clients.sts, clients.stsAs(await credentials())]) {
    client.middlewareStack.add(
      () => async (args) => {
        hosts.push((args.request as { hostname: string }).hostname);
        throw new Error("not sent");
      },
      { step: "finalizeRequest", priority: "low" },
    );
    const { GetCallerIdentityCommand } = await import("@aws-sdk/client-sts");
    await client.send(new GetCallerIdentityCommand({})).catch(() => {});
  }
  clients.destroy();
  return [...new Set(hosts)];
}

it.each([
  ["eu-west-1", "sts.eu-west-1.amazonaws.com"],
  // The global endpoint of these regions is the default of older SDKs.
  ["us-east-1", "sts.us-east-1.amazonaws.com"],
  ["us-west-2", "sts.us-west-2.amazonaws.com"],
  ["cn-north-1", "sts.cn-north-1.amazonaws.com.cn"],
  ["us-gov-west-1", "sts.us-gov-west-1.amazonaws.com"],
  ["us-gov-east-1", "sts.us-gov-east-1.amazonaws.com"],
])("assumes roles of %s at the region's own endpoint, whatever the environment says", async (region, host) => {
  process.env.AWS_STS_REGIONAL_ENDPOINTS = "legacy";
  try {
    expect(await hostOf(region)).toEqual([host]);
  } finally {
    delete process.env.AWS_STS_REGIONAL_ENDPOINTS;
  }
});

it("uses the regional endpoints with FIPS and with IPv6", async () => {
  expect(await hostOf("us-east-1", { useFIPS: true })).toEqual(["sts-fips.us-east-1.amazonaws.com"]);
  expect(await hostOf("eu-west-1", { useDualStack: true })).toEqual(["sts.eu-west-1.api.aws"]);
});
