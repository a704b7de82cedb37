import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { addressKind, checkEndpoint, type Lookup } from "../../src/aws/endpoints.ts";
import { ssmOf } from "../support/permits.ts";
import { AwsServer, rig, specAt } from "./aws-server.ts";

describe("an address", () => {
  test.each([
    ["169.254.169.254", "metadata"],
    ["169.254.170.2", "metadata"],
    ["169.254.170.23", "metadata"],
    ["fd00:ec2::254", "metadata"],
    ["fd00:ec2::23", "metadata"],
    ["fe80::1%eth0", "metadata"],
    ["::ffff:169.254.169.254", "metadata"],
    ["::ffff:a9fe:a9fe", "metadata"],
    ["64:ff9b::a9fe:a9fe", "metadata"],
    ["::a9fe:a9fe", "metadata"],
    ["127.0.0.1", "loopback"],
    ["127.9.9.9", "loopback"],
    ["0.0.0.0", "loopback"],
    ["::1", "loopback"],
    ["::", "loopback"],
    ["::ffff:127.0.0.1", "loopback"],
    ["10.0.0.1", "other"],
    ["52.94.5.1", "other"],
    ["169.253.255.255", "other"],
    ["fd00:ec3::254", "other"],
    ["2a05:d018::1", "other"],
  ])("%s is of the kind %s", (address, kind) => {
    expect(addressKind(address)).toBe(kind);
  });
});

describe("an endpoint", () => {
  test.each<[string, string, RegExp | undefined, RegExp | undefined]>([
    ["of a VPC", "https://vpce-1.ssm.eu-west-1.vpce.amazonaws.com", undefined, undefined],
    ["with a port", "https://ssm.internal:8443", undefined, undefined],
    ["at a private address", "https://10.1.2.3", undefined, undefined],
    ["in plain http", "http://ssm.internal", /must begin with https:\/\/ unless/, undefined],
    ["of this machine", "https://127.0.0.1:4566", /this machine only where/, undefined],
    ["of this machine by name", "https://localhost:4566", /this machine only where/, undefined],
    ["of this machine by a name below localhost", "https://a.localhost", /this machine only where/, undefined],
    ["of this machine in IPv6", "https://[::1]:4566", /this machine only where/, undefined],
    ["of the metadata service", "https://169.254.169.254", /metadata/, /metadata/],
    ["of the metadata service in plain http", "http://169.254.169.254/latest", /metadata/, /metadata/],
    ["of the metadata service as one number", "http://2852039166", /metadata/, /metadata/],
    ["of the metadata service in hexadecimal", "http://0xa9fea9fe", /metadata/, /metadata/],
    ["of the metadata service in octal", "http://0251.0376.0251.0376", /metadata/, /metadata/],
    ["of the metadata service as an IPv4-mapped address", "http://[::ffff:169.254.169.254]", /metadata/, /metadata/],
    ["of the metadata service in IPv6", "http://[fd00:ec2::254]", /metadata/, /metadata/],
    ["of the Pod Identity agent", "http://169.254.170.23/v1/credentials", /metadata/, /metadata/],
    ["of another protocol", "file:///etc/passwd", /must begin with https/, /must begin with https/],
    ["with a password", "https://a:b@ssm.internal", /no user, password/, /no user, password/],
    ["with a query", "https://ssm.internal/?a=b", /no user, password, query/, /no user, password, query/],
    ["that is not a URL", "ssm.internal", /is not a URL/, /is not a URL/],
  ])("%s", (_, url, strictly, loosely) => {
    for (const [allowInsecure, problem] of [
      [false, strictly],
      [true, loosely],
    ] as const) {
      const check = () => checkEndpoint("ssm", url, allowInsecure);
      if (problem) expect(check).toThrow(problem);
      else expect(check).not.toThrow();
    }
  });

  test("that is not allowed is reported as an invalid spec with its field", () => {
    const { identities } = rig({ allowInsecureEndpoints: false });
    const get = () => identities.get({ ...specAt("https://ssm.internal"), endpoints: { kms: "http://kms.internal" } });
    expect(get).toThrow(expect.objectContaining({ reason: "NotAllowed", next: "stalled" }));
    expect(get).toThrow(/^endpoints\.kms must begin/);
    expect(identities.size).toBe(0);
  });
});

describe("a host", () => {
  let server: AwsServer;
  beforeAll(async () => {
    server = await AwsServer.start();
  });
  afterAll(() => server.close());

  /** Resolves every name to these addresses. */
  const to =
    (...addresses: string[]): Lookup =>
    (_host, options, callback) => {
      const all = addresses.map((address) => ({ address, family: address.includes(":") ? 6 : 4 }));
      if (options.all) callback(null, all);
      else callback(null, all[0]!.address, all[0]!.family);
    };

  const look = (lookup: Lookup, allowInsecureEndpoints: boolean, url: string) => {
    const { identities } = rig({ lookup, allowInsecureEndpoints });
    return ssmOf(identities.get(specAt(url)))
      .getParameters(["/a"], { decrypt: false })
      .finally(() => identities.close());
  };
  const here = () => server.url.replace("127.0.0.1", "ssm.internal");

  test("that resolves to the metadata address is not connected to", async () => {
    await expect(look(to("169.254.169.254"), true, here())).rejects.toMatchObject({
      reason: "NotAllowed",
      code: "AddressRefused",
      message: expect.stringMatching(/an address of the instance's metadata/),
    });
  });

  test("that resolves to the metadata address among others is not connected to", async () => {
    const call = look(to("127.0.0.1", "::ffff:169.254.169.254"), true, here());
    await expect(call).rejects.toMatchObject({ code: "AddressRefused" });
    expect(server.received).toHaveLength(0);
  });

  test("that resolves to this machine is not connected to unless that is allowed", async () => {
    const strict = look(to("127.0.0.1"), false, here().replace("http:", "https:"));
    await expect(strict).rejects.toMatchObject({
      code: "AddressRefused",
      message: expect.stringMatching(/this machine, which is allowed only with --allow-insecure-endpoints/),
    });
    expect(server.sockets.size).toBe(0);
    expect(await look(to("127.0.0.1"), true, here())).toMatchObject({ found: [] });
  });

  test("that later resolves to the metadata address is not connected to again", async () => {
    let address = "127.0.0.1";
    const { identities } = rig({ lookup: (host, options, callback) => to(address)(host, options, callback) });
    const identity = identities.get(specAt(here()));
    await ssmOf(identity).getParameters(["/a"], { decrypt: false });
    address = "169.254.169.254";
    for (const socket of server.sockets) socket.destroy();
    await new Promise((resolve) => setImmediate(resolve));
    const again = ssmOf(identity).getParameters(["/a"], { decrypt: false });
    await expect(again).rejects.toMatchObject({ name: "AwsFailure" });
    await expect(ssmOf(identity).getParameters(["/a"], { decrypt: false })).rejects.toMatchObject({
      code: "AddressRefused",
    });
    identities.close();
  });
});
