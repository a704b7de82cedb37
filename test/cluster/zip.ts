import { inflateRawSync } from "node:zlib";

/** Signatures, as they stand in the file. */
const END_OF_DIRECTORY = Buffer.from("PK\x05\x06", "latin1");
const DIRECTORY_ENTRY = Buffer.from("PK\x01\x02", "latin1");

/**
 * One file out of a zip archive (PKWARE's APPNOTE.TXT; stored or deflated, no encryption, no Zip64).
 * Throws, naming the entry, when it is not there or is packed in another way.
 */
export function readZipEntry(zip: Buffer, name: string): Buffer {
  const end = zip.lastIndexOf(END_OF_DIRECTORY);
  if (end < 0) throw new Error("This is not a zip archive.");
  let at = zip.readUInt32LE(end + 16);
  while (zip.subarray(at, at + 4).equals(DIRECTORY_ENTRY)) {
    const nameLength = zip.readUInt16LE(at + 28);
    if (zip.toString("utf8", at + 46, at + 46 + nameLength) === name) return unpack(zip, at, name);
    at += 46 + nameLength + zip.readUInt16LE(at + 30) + zip.readUInt16LE(at + 32);
  }
  throw new Error(`The archive has no entry ${name}.`);
}

function unpack(zip: Buffer, entry: number, name: string): Buffer {
  const method = zip.readUInt16LE(entry + 10);
  const size = zip.readUInt32LE(entry + 20);
  const local = zip.readUInt32LE(entry + 42);
  // The local header repeats the name, and its extra field may have another length than the directory's.
  const start = local + 30 + zip.readUInt16LE(local + 26) + zip.readUInt16LE(local + 28);
  const packed = zip.subarray(start, start + size);
  if (method === 0) return Buffer.from(packed);
  if (method === 8) return inflateRawSync(packed);
  throw new Error(`The archive's entry ${name} is packed by method ${method}; only 0 and 8 are known here.`);
}
