import { parseBase64 } from "../ciphertexts/base64.ts";

/** Maximum bytes of annotations in Kubernetes. `kubectl apply` keeps the whole object as JSON in one of them. */
const annotationBytes = 262_144;
/** Minimum characters of base64 to examine: a shorter text may be base64 by chance. */
const tellingLength = 8;

/**
 * Warns about probable mistakes in a value that is encrypted byte for byte, one line each. Pure. No line contains any
 * part of the value.
 */
export function valueWarnings(value: Uint8Array): string[] {
  const starts = (...bytes: number[]) => bytes.every((byte, index) => value[index] === byte);
  const warnings: string[] = [];
  const isWide = starts(0xff, 0xfe) || starts(0xfe, 0xff);
  if (isWide) warnings.push("the value is UTF-16 with a byte order mark, as PowerShell's > writes it: write UTF-8");
  if (starts(0xef, 0xbb, 0xbf)) warnings.push("the value begins with a byte order mark, which is part of it");
  if (!isWide && value.includes(0)) {
    warnings.push("the value has NUL bytes, which no environment variable can hold: it is binary, or UTF-16");
  }
  const end = value.at(-1);
  if (end === 0x0a) {
    const what = value.at(-2) === 0x0d ? "a line break of Windows (CR LF)" : "a line break";
    warnings.push(`the value ends with ${what}, which is part of it (printf would leave it out)`);
  } else if (end === 0x0d) {
    warnings.push("the value ends with a carriage return (CR), which is part of it");
  }
  const encoded = encodingOf(value);
  if (encoded !== undefined) warnings.push(encoded);
  return warnings;
}

/** A value that is already encoded: readers of the Secret would have to decode it again. */
function encodingOf(value: Uint8Array): string | undefined {
  const text = Buffer.from(value).toString("latin1").trim();
  const inner = text.length < tellingLength ? undefined : parseBase64(text.replace(/\r?\n/g, ""));
  if (!inner) return undefined;
  if (isKmsBlob(inner)) return "the value is a KMS ciphertext in base64 already: encrypted once more, it opens to that";
  const decoded = Buffer.from(inner).toString("latin1");
  if (isBase64OfMore(decoded)) return "the value is base64 of base64: decode it, unless the Secret is to hold that";
  return /^[\t\n\r\x20-\x7e]+$/.test(decoded)
    ? "the value is a text in base64, as a Secret's data shows it: decode it, unless the Secret is to hold base64"
    : undefined;
}

/** Whether text decoded from base64 is base64 again. */
export function isBase64OfMore(decoded: string): boolean {
  const text = decoded.trim();
  return text.length >= tellingLength && parseBase64(text) !== undefined;
}

/** Whether a blob is a KMS ciphertext under a symmetric key, by its first bytes. */
function isKmsBlob([first, second, third, fourth, fifth]: Uint8Array): boolean {
  return first === 1 && second === 2 && (third === 2 || third === 3) && fourth === 0 && fifth === 0x78;
}

/** A warning about applying a manifest; undefined if there is none. */
export function applyWarning(source: object): string | undefined {
  // Two thirds: enough for a value of 128 KiB, with room for the rest of the object.
  if (JSON.stringify(source).length <= (annotationBytes * 2) / 3) return undefined;
  return `this is much for kubectl apply, which keeps the object in an annotation of ${annotationBytes} bytes at most: use kubectl apply --server-side`;
}
