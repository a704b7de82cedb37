import { describe, expect, test } from "vitest";
import { sharedCluster } from "../cluster/shared.ts";
import { dryRunner } from "./dry-run.ts";
import { allowing, syncedSecret } from "./manifests.ts";
import { refuses, takes } from "./verdicts.ts";

const dryRun = dryRunner(await sharedCluster());

const times = <T>(count: number, make: (index: number) => T): T[] =>
  Array.from({ length: count }, (_, index) => make(index));
const data = (count: number) => times(count, (i) => ({ key: `KEY_${i}`, parameter: { name: `/shop/p${i}` } }));
const dataFrom = (count: number) => times(count, (i) => ({ path: { name: `/shop/${i}` } }));

/** As long as a name can be. */
const longName = `${"/levels".repeat(14)}/`.padEnd(1_011, "x");
const patterns = times(20, () => "[a-z]{1,9}|".repeat(10).padEnd(300, "x"));
const pairs = (count: number, value: string) => Object.fromEntries(times(count, (i) => [`example.com/l${i}`, value]));

describe("the API server", () => {
  takes(dryRun, {
    "200 entries of data and 50 of dataFrom": syncedSecret({ data: data(200), dataFrom: dataFrom(50) }),
    "200 entries and 50 of dataFrom with every name, pattern and map at its maximum length": syncedSecret({
      data: data(200).map((entry) => ({ ...entry, parameter: { name: longName, label: "x".repeat(100) } })),
      dataFrom: times(50, () => ({
        path: { name: longName, include: patterns.slice(0, 10), exclude: patterns.slice(10) },
        rename: { rewrite: patterns.slice(0, 10).map((pattern) => ({ pattern, replacement: "$0" })) },
      })),
      target: {
        labels: pairs(32, "x".repeat(63)),
        annotations: pairs(32, "x".repeat(4_096)),
        template: { data: Object.fromEntries(times(50, (i) => [`k${i}`, "x".repeat(2_000)])) },
      },
    }),
    "200 blobs, each with 16 pairs of context": syncedSecret({
      data: times(200, (i) => ({
        key: `KEY_${i}`,
        kms: { ciphertext: "A".repeat(4_096), encryptionContext: Object.fromEntries(times(16, (j) => [`c${j}`, "x"])) },
      })),
    }),
    "200 allowed names": allowing({ parameters: times(200, () => `${longName}/{namespace}/*`) }),
  });
  refuses(dryRun, {
    "201 entries of data": [syncedSecret({ data: data(201) }), "spec.data", "must have at most 200 items"],
    "51 entries of dataFrom": [syncedSecret({ dataFrom: dataFrom(51) }), "spec.dataFrom", "must have at most 50 items"],
  });

  test("names the single invalid entry of 250", async () => {
    const entries = data(200);
    entries[137]!.parameter.name = "/shop//db";
    const verdict = await dryRun(syncedSecret({ data: entries, dataFrom: dataFrom(50) }));
    expect(verdict).toMatchObject({ message: expect.stringContaining("spec.data[137].parameter.name") });
  });
});
