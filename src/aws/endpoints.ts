import { lookup as systemLookup } from "node:dns";
import { BlockList, isIP, type LookupFunction } from "node:net";
import { Failure } from "../runtime/failure.ts";

/** Resolves a host name: node:dns's `lookup`, or a fake in tests. */
export type Lookup = LookupFunction;

/**
 * Link-local addresses of the metadata and credential endpoints of instance, task and pod (169.254.169.254,
 * 169.254.170.2, 169.254.170.23; fd00:ec2::254, fd00:ec2::23: EC2 User Guide, Amazon EKS User Guide). An endpoint there
 * would expose them to its author. No AWS service has such an address.
 */
const metadata = new BlockList();
metadata.addSubnet("169.254.0.0", 16, "ipv4");
metadata.addSubnet("fe80::", 10, "ipv6");
metadata.addSubnet("fd00:ec2::", 32, "ipv6");

const loopback = new BlockList();
loopback.addSubnet("127.0.0.0", 8, "ipv4");
// "This host": connections go to the loopback.
loopback.addSubnet("0.0.0.0", 8, "ipv4");
loopback.addSubnet("::", 127, "ipv6");

// IPv4 in IPv6: mapped (RFC 4291) and NAT64 (RFC 6052).
for (const prefix of ["::ffff:", "::", "64:ff9b::"]) {
  metadata.addSubnet(`${prefix}a9fe:0`, 112, "ipv6");
  loopback.addSubnet(`${prefix}7f00:0`, 104, "ipv6");
}

/** Classifies an address for endpoint checks. */
export function addressKind(address: string): "metadata" | "loopback" | "other" {
  const plain = address.split("%", 1)[0]!;
  const family = isIP(plain) === 6 ? "ipv6" : "ipv4";
  if (metadata.check(plain, family)) return "metadata";
  return loopback.check(plain, family) ? "loopback" : "other";
}

/**
 * Checks an endpoint without a DNS lookup.
 *
 * @param service of the endpoint, for the message
 * @throws Failure NotAllowed
 */
export function checkEndpoint(service: string, text: string, allowInsecure: boolean): void {
  const refused = (why: string) => new Failure("NotAllowed", "stalled", `endpoints.${service} ${why}`);
  // URL normalizes every notation of an address (decimal, octal, hexadecimal, mapped).
  const url = URL.parse(text);
  if (!url) throw refused("is not a URL: write https://host or https://host:port");
  if (url.protocol !== "https:" && url.protocol !== "http:") throw refused("must begin with https://");
  if (url.username || url.password || url.search || url.hash)
    throw refused("must have no user, password, query or fragment");
  const host = url.hostname.replace(/^\[|\]$/g, "");
  const kind = isIP(host) ? addressKind(host) : "other";
  if (kind === "metadata") throw refused(`is ${host}, an address of the instance's metadata: name a service of AWS`);
  if (allowInsecure) return;
  if (url.protocol === "http:")
    throw refused("must begin with https:// unless the operator runs with --allow-insecure-endpoints");
  if (kind === "loopback" || host === "localhost" || host.endsWith(".localhost")) {
    throw refused("may be this machine only where the operator runs with --allow-insecure-endpoints");
  }
}

/** The operator refuses to connect to the host's address. */
export class AddressRefused extends Error {
  readonly kind: "metadata" | "loopback";

  constructor(kind: "metadata" | "loopback") {
    super(`the host has a ${kind} address`);
    this.name = "AddressRefused";
    this.kind = kind;
  }
}

/**
 * A lookup that fails with AddressRefused if any address of the host is not allowed. It runs for every connection,
 * which prevents DNS rebinding.
 */
export function guardedLookup({
  allowInsecureEndpoints,
  lookup = systemLookup as Lookup,
}: {
  allowInsecureEndpoints: boolean;
  lookup?: Lookup;
}): Lookup {
  return (hostname, options, callback) =>
    lookup(hostname, options, (error, address, family) => {
      if (error) return callback(error, address, family);
      const addresses = typeof address === "string" ? [address] : address.map((one) => one.address);
      for (const one of addresses) {
        const kind = addressKind(one);
        if (kind === "metadata" || (kind === "loopback" && !allowInsecureEndpoints)) {
          return callback(new AddressRefused(kind) as NodeJS.ErrnoException, "", 0);
        }
      }
      callback(null, address, family);
    });
}
