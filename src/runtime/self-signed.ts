import { type KeyObject, sign } from "node:crypto";

/** What a self-signed certificate says. */
export interface CertificateContent {
  /** DNS names that the certificate is for; the first is its common name. */
  names: readonly [string, ...string[]];
  notBefore: Date;
  notAfter: Date;
  /** At least one byte; the first below 128, so that the number is positive. */
  serial: Uint8Array;
  /** An elliptic curve's keys. */
  keys: { publicKey: KeyObject; privateKey: KeyObject };
}

/** DER tags (ITU-T X.690). */
const tags = {
  boolean: 0x01,
  integer: 0x02,
  bits: 0x03,
  bytes: 0x04,
  utf8: 0x0c,
  utcTime: 0x17,
  time: 0x18,
  sequence: 0x30,
  set: 0x31,
  /** Context-specific: dNSName of a GeneralName; version and extensions of a certificate. */
  dnsName: 0x82,
  version: 0xa0,
  extensions: 0xa3,
};

/** Object identifiers, as complete DER elements. */
const oids = {
  ecdsaWithSha256: hex("06082a8648ce3d040302"),
  commonName: hex("0603550403"),
  keyUsage: hex("0603551d0f"),
  subjectAltName: hex("0603551d11"),
  basicConstraints: hex("0603551d13"),
  extendedKeyUsage: hex("0603551d25"),
  serverAuth: hex("06082b06010505070301"),
};

/** An X.509 v3 certificate for a TLS server (RFC 5280), signed with its own key by ECDSA and SHA-256, as PEM. */
export function selfSigned({ names, notBefore, notAfter, serial, keys }: CertificateContent): string {
  const algorithm = element(tags.sequence, oids.ecdsaWithSha256);
  const commonName = element(tags.sequence, oids.commonName, element(tags.utf8, Buffer.from(names[0])));
  const name = element(tags.sequence, element(tags.set, commonName));
  const alternatives = names.map((dns) => element(tags.dnsName, Buffer.from(dns, "ascii")));
  const content = element(
    tags.sequence,
    element(tags.version, element(tags.integer, Buffer.of(2))),
    element(tags.integer, serial),
    algorithm,
    name,
    element(tags.sequence, time(notBefore), time(notAfter)),
    name,
    keys.publicKey.export({ type: "spki", format: "der" }),
    element(
      tags.extensions,
      element(
        tags.sequence,
        // No CA; digitalSignature.
        extension(oids.basicConstraints, element(tags.sequence), true),
        extension(oids.keyUsage, element(tags.bits, Buffer.of(7, 0x80)), true),
        extension(oids.extendedKeyUsage, element(tags.sequence, oids.serverAuth)),
        extension(oids.subjectAltName, element(tags.sequence, ...alternatives)),
      ),
    ),
  );
  const signature = sign("sha256", content, keys.privateKey);
  const der = element(tags.sequence, content, algorithm, element(tags.bits, Buffer.of(0), signature));
  const lines = der.toString("base64").match(/.{1,64}/g)!;
  return ["-----BEGIN CERTIFICATE-----", ...lines, "-----END CERTIFICATE-----", ""].join("\n");
}

function extension(oid: Uint8Array, value: Uint8Array, isCritical = false): Buffer {
  const critical = isCritical ? [element(tags.boolean, Buffer.of(0xff))] : [];
  return element(tags.sequence, oid, ...critical, element(tags.bytes, value));
}

/** UTCTime until 2049, then GeneralizedTime. */
function time(date: Date): Buffer {
  const text = date.toISOString().replace(/\.\d+|[-:T]/g, "");
  return date.getUTCFullYear() < 2050
    ? element(tags.utcTime, Buffer.from(text.slice(2)))
    : element(tags.time, Buffer.from(text));
}

function element(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const content = Buffer.concat(parts);
  return Buffer.concat([Buffer.of(tag, ...lengthOf(content.length)), content]);
}

function lengthOf(length: number): number[] {
  if (length < 0x80) return [length];
  return length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
}

function hex(text: string): Buffer {
  return Buffer.from(text, "hex");
}
