import { execFileSync } from "node:child_process";
import { constants, generateKeyPairSync, privateDecrypt } from "node:crypto";
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { readPublicKey, rsaEncrypt, rsaLimit } from "../../src/ciphertexts/rsa.ts";
import { Sealed } from "../../src/runtime/sealed.ts";
import { removeAtEnd } from "../support/supervise.ts";

const pair = generateKeyPairSync("rsa", { modulusLength: 2_048 });
const der = pair.publicKey.export({ type: "spki", format: "der" });
const pem = pair.publicKey.export({ type: "spki", format: "pem" }) as string;
const folder = mkdtempSync(join(tmpdir(), "keyferry-rsa-"));
removeAtEnd(folder);

function read(bytes: string | Uint8Array) {
  return readPublicKey(Buffer.from(bytes));
}

describe("a public key", () => {
  test.each<[string, string | Uint8Array]>([
    ["as DER", der],
    ["as aws kms get-public-key prints it", der.toString("base64")],
    ["with a line break at its end", `${der.toString("base64")}\n`],
    ["as PEM", pair.publicKey.export({ type: "spki", format: "pem" })],
    ["as PEM of PKCS 1", pair.publicKey.export({ type: "pkcs1", format: "pem" })],
    ["as DER of PKCS 1", pair.publicKey.export({ type: "pkcs1", format: "der" })],
    ["as DER of PKCS 1 in base64", pair.publicKey.export({ type: "pkcs1", format: "der" }).toString("base64")],
    ["as PEM with text around it", `Key of the shop:\r\n${pem.replaceAll("\n", "\r\n")}-- \r\nthe shop`],
    ["as PEM with a byte order mark", `\uFEFF${pem}`],
    ["as PEM in UTF-16", Buffer.from(`\uFEFF${pem}`, "utf16le")],
    ["as base64 with a byte order mark", `\uFEFF${der.toString("base64")}\n`],
    [
      "as the JSON of aws kms get-public-key",
      JSON.stringify({ KeyId: "x", PublicKey: der.toString("base64") }, undefined, 4),
    ],
    ["as a JSON string", `"${der.toString("base64")}"\n`],
  ])("%s is read", (_, bytes) => {
    expect(read(bytes)).toMatchObject({ bits: 2_048 });
  });

  const small = generateKeyPairSync("rsa", { modulusLength: 1_024 }).publicKey;
  const curve = generateKeyPairSync("ec", { namedCurve: "P-256" }).publicKey;
  test.each<[string, string | Uint8Array, RegExp]>([
    ["a private key", pair.privateKey.export({ type: "pkcs8", format: "pem" }), /is a private key/],
    ["an elliptic curve key", curve.export({ type: "spki", format: "pem" }), /of the kind ec, which cannot encrypt/],
    [
      "a key that is too small",
      small.export({ type: "spki", format: "der" }),
      /has 1024 bits, and RSA keys of KMS have 2048/,
    ],
    ["an empty text", "", /is no public key/],
    ["text", "hunter2", /is no public key/],
    ["JSON without a key", '{"PublicKey":{"a":"hunter2"}}', /is no public key/],
    ["invalid JSON", '{"PublicKey":', /is no public key/],
    ["JSON of null", "null", /is no public key/],
    ["bytes", Buffer.alloc(300, 7), /is no public key/],
    ["broken PEM", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----", /is no public key/],
  ])("%s is refused", (_, bytes, problem) => {
    expect(read(bytes)).toEqual({ problem: expect.stringMatching(problem) });
  });
});

describe.each(["RSAES_OAEP_SHA_1", "RSAES_OAEP_SHA_256"] as const)("%s", (algorithm) => {
  const oaepHash = algorithm === "RSAES_OAEP_SHA_1" ? "sha1" : "sha256";

  test("encrypts at most the bytes of the KMS documentation", () => {
    const most = [2_048, 3_072, 4_096].map((bits) => rsaLimit(algorithm, bits));
    expect(most).toEqual(algorithm === "RSAES_OAEP_SHA_1" ? [214, 342, 470] : [190, 318, 446]);
    const fits = new Sealed(Buffer.alloc(most[0]!, 1));
    expect(rsaEncrypt(pair.publicKey, algorithm, fits)).toHaveLength(256);
    expect(() => rsaEncrypt(pair.publicKey, algorithm, new Sealed(Buffer.alloc(most[0]! + 1, 1)))).toThrow();
  });

  test("is decrypted by openssl", () => {
    const [keyFile, blobFile] = [join(folder, "key.pem"), join(folder, `${algorithm}.bin`)];
    writeFileSync(keyFile, pair.privateKey.export({ type: "pkcs8", format: "pem" }));
    writeFileSync(blobFile, rsaEncrypt(pair.publicKey, algorithm, Sealed.text("p4ss")));
    const options = ["rsa_padding_mode:oaep", `rsa_oaep_md:${oaepHash}`, `rsa_mgf1_md:${oaepHash}`];
    const args = ["pkeyutl", "-decrypt", "-inkey", keyFile, "-in", blobFile];
    expect(execFileSync("openssl", [...args, ...options.flatMap((option) => ["-pkeyopt", option])]).toString()).toBe(
      "p4ss",
    );
    const padding = constants.RSA_PKCS1_OAEP_PADDING;
    const key = { key: pair.privateKey, padding, oaepHash };
    expect(privateDecrypt(key, readFileSync(blobFile)).toString()).toBe("p4ss");
  });
});
