import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { deflateRawSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { ensureHelm } from "./helm.ts";
import { sharedCluster } from "./shared.ts";
import { readZipEntry } from "./zip.ts";

const cluster = await sharedCluster();

test("the unpacked helm runs, and reaches the cluster", async () => {
  const helm = await ensureHelm();
  const { stdout } = await promisify(execFile)(helm, ["list", "--output", "json"], {
    env: { KUBECONFIG: cluster.kubeconfigPath, HOME: cluster.dir },
  });
  expect(JSON.parse(stdout)).toEqual([]);
});

/** An archive of one entry; its local header has an extra field that its directory has not. */
function archive(name: string, content: Buffer, method: number): Buffer {
  const packed = method === 8 ? deflateRawSync(content) : content;
  const local = Buffer.alloc(30);
  local.write("PK\x03\x04", "latin1");
  local.writeUInt16LE(name.length, 26);
  local.writeUInt16LE(4, 28);
  const entry = Buffer.alloc(46);
  entry.write("PK\x01\x02", "latin1");
  entry.writeUInt16LE(method, 10);
  entry.writeUInt32LE(packed.length, 20);
  entry.writeUInt16LE(name.length, 28);
  const end = Buffer.alloc(22);
  end.write("PK\x05\x06", "latin1");
  end.writeUInt32LE(30 + name.length + 4 + packed.length, 16);
  return Buffer.concat([local, Buffer.from(name), Buffer.alloc(4), packed, entry, Buffer.from(name), end]);
}

describe("reading one file of a zip archive", () => {
  const content = Buffer.from("the quick brown fox ".repeat(50));

  test.each([
    ["stored", 0],
    ["deflated", 8],
  ])("returns the bytes of a %s entry", (_, method) => {
    expect(readZipEntry(archive("helm/helm", content, method), "helm/helm").equals(content)).toBe(true);
  });

  test.each([
    ["a missing entry", archive("a", content, 0), "no entry b"],
    ["an unknown compression method", archive("b", content, 12), "packed by method 12"],
    ["data that is not an archive", content, "not a zip archive"],
  ])("throws on %s", (_, zip, message) => {
    expect(() => readZipEntry(zip, "b")).toThrow(message);
  });
});
