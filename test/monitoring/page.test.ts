import { deflateSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { chartOf, linesOf, ticksOf } from "./chart.ts";
import { type PanelData, readAllPanels, readPanels } from "./dashboard.ts";
import { pageHeight, pageOf } from "./page.ts";
import { compressed } from "./png.ts";
import { formatted } from "./units.ts";

const from = 1_700_000_000;
const series = (metric: Record<string, string>, values: (string | number)[]) => ({
  metric,
  values: values.map((value, n): [number, string] => [from + n, String(value)]),
});
const panel = (queries: PanelData["queries"]): PanelData => ({
  ...{ type: "timeseries", title: "Calls", unit: "reqps", queries },
  gridPos: { x: 0, y: 0, w: 8, h: 8 },
});

test("the page has each panel of the dashboard with its rows, and escapes names", () => {
  const data = readPanels().map(({ type, title, gridPos, targets = [], fieldConfig }) => ({
    ...{ type, title, gridPos, unit: fieldConfig?.defaults?.unit ?? "none" },
    queries: targets.map(({ expr, legendFormat }) => ({
      ...{ expr, legend: `${legendFormat}<b>` },
      series: [series({ namespace: "shop", name: "db", lane: "poll" }, [1, 2, 3])],
    })),
  }));
  const page = pageOf(readAllPanels(), data);
  for (const { title } of readPanels()) expect(page).toContain(`<h3>${title}</h3>`);
  expect(page.match(/<h2>/g)).toHaveLength(5);
  expect(page).not.toContain("<b>");
  expect(page).not.toContain("no data");
  expect(pageHeight(readAllPanels())).toBeGreaterThan(1_000);
});

test("lines are labelled by the legend, and leave out what is no number", () => {
  const [line, ...others] = linesOf(
    panel([
      {
        expr: "a",
        legend: "{{service}} {{ operation }}",
        series: [series({ service: "kms", operation: "Decrypt" }, ["NaN", 2])],
      },
      { expr: "b", legend: "b", series: [series({}, ["NaN", "+Inf"])] },
    ]),
  );
  expect(line).toMatchObject({ label: "kms Decrypt", points: [[from + 1, 2]] });
  expect(others).toEqual([]);
});

test("a gap in the samples breaks the line", () => {
  const points: [number, number][] = [0, 1, 60, 61].map((at) => [from + at, 1]);
  const svg = chartOf(
    [{ label: "a", color: "#000", points }],
    "none",
    { width: 400, height: 200 },
    { from, to: from + 61 },
  );
  expect(/<path d="([^"]*)"/.exec(svg)?.[1]?.match(/M/g)).toHaveLength(2);
});

test.each([
  [
    [0, 1],
    [0, 0.2, 0.4, 0.6, 0.8, 1],
  ],
  [
    [0, 7.3],
    [0, 2, 4, 6, 8],
  ],
  [
    [-3, 1],
    [-3, -2, -1, 0, 1],
  ],
  [[0, 0], [0]],
])("the axis of %j has the steps %j", ([min, max], steps) => {
  expect(ticksOf(min!, max!).slice(0, steps.length)).toEqual(steps);
});

describe("a value", () => {
  test.each([
    [0.25, "s", "250 ms"],
    [90, "s", "90 s"],
    [600, "s", "10 min"],
    [172_800, "s", "2 days"],
    [0.937, "percentunit", "93.7 %"],
    [120 * 2 ** 20, "bytes", "120 MiB"],
    [1.234, "reqps", "1.23/s"],
    [0.5, "currencyUSD", "$0.5"],
  ])("%d of %s is %s", (value, unit, text) => expect(formatted(value, unit)).toBe(text));
});

test("a compressed picture has the same pixels", () => {
  const { width, height } = { width: 40, height: 30 };
  const rows = Buffer.concat(
    Array.from({ length: height }, (_, y) =>
      Buffer.from(
        [0, ...Array.from({ length: width }, (_, x) => [x, y, 200]).flat()].map((byte, n) =>
          n === 0 ? 0 : byte & 0xf0,
        ),
      ),
    ),
  );
  const chunk = (type: string, data: Buffer) => {
    const head = Buffer.alloc(8);
    head.writeUInt32BE(data.length, 0);
    head.write(type, 4, "latin1");
    return Buffer.concat([head, data, Buffer.alloc(4)]);
  };
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, 2, 0, 0, 0], 8);
  const png = Buffer.concat([
    Buffer.from("89504e470d0a1a0a", "hex"),
    chunk("IHDR", header),
    chunk("IDAT", deflateSync(rows)),
    chunk("IEND", Buffer.alloc(0)),
  ]);
  const small = compressed(png);
  const palette = small.subarray(small.indexOf("PLTE") + 4, small.indexOf("IDAT") - 8);
  const colors = new Set(
    Array.from({ length: palette.length / 3 }, (_, n) => palette.subarray(n * 3, n * 3 + 3).toString("hex")),
  );
  expect(colors).toEqual(new Set(["0000c0", "0010c0", "1000c0", "1010c0", "2000c0", "2010c0"]));
  expect(small.subarray(0, 8)).toEqual(png.subarray(0, 8));
});
