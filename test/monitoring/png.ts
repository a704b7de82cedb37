import { crc32, deflateSync, inflateSync } from "node:zlib";

/** Colors of a PNG's palette, at most. */
const paletteSize = 256;

/**
 * A smaller PNG of the same picture: 256 colors from a palette, which is a third of the bytes of true color. The rarest
 * colors, of the edges of letters and lines, become the nearest of the others.
 *
 * @param png of 8 bits a channel, RGB or RGBA, not interlaced, as Chromium writes it
 */
export function compressed(png: Buffer): Buffer {
  const { width, height, pixels } = decoded(png);
  const counts = new Map<number, number>();
  for (const color of pixels) counts.set(color, (counts.get(color) ?? 0) + 1);
  const palette = [...counts]
    .sort((a, b) => b[1] - a[1])
    .slice(0, paletteSize)
    .map(([color]) => color);
  const index = new Map(palette.map((color, n) => [color, n]));
  for (const color of counts.keys()) if (!index.has(color)) index.set(color, nearest(color, palette));
  const rows = Buffer.alloc((width + 1) * height);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) rows[y * (width + 1) + 1 + x] = index.get(pixels[y * width + x]!)!;
  }
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, 3, 0, 0, 0], 8);
  return Buffer.concat([
    png.subarray(0, 8),
    chunk("IHDR", header),
    chunk("PLTE", Buffer.from(palette.flatMap((color) => channels(color)))),
    chunk("IDAT", deflateSync(rows, { level: 9 })),
    chunk("IEND", Buffer.alloc(0)),
  ]);
}

/** The pixels of a PNG, as 0xRRGGBB. */
function decoded(png: Buffer): { width: number; height: number; pixels: Uint32Array } {
  const parts: Buffer[] = [];
  for (let at = 8; at < png.length; ) {
    const length = png.readUInt32BE(at);
    if (png.toString("latin1", at + 4, at + 8) === "IDAT") parts.push(png.subarray(at + 8, at + 8 + length));
    at += length + 12;
  }
  const [width, height, bits, kind] = [png.readUInt32BE(16), png.readUInt32BE(20), png[24], png[25]];
  if (bits !== 8 || (kind !== 2 && kind !== 6) || png[28] !== 0) throw new Error("not a PNG of 8 bits in RGB");
  const size = kind === 2 ? 3 : 4;
  const raw = inflateSync(Buffer.concat(parts));
  const line = width * size;
  const pixels = new Uint32Array(width * height);
  let before = new Uint8Array(line);
  for (let y = 0; y < height; y++) {
    const at = y * (line + 1);
    const row = unfiltered(raw[at]!, raw.subarray(at + 1, at + 1 + line), { before, size });
    for (let x = 0; x < width; x++) {
      pixels[y * width + x] = (row[x * size]! << 16) | (row[x * size + 1]! << 8) | row[x * size + 2]!;
    }
    before = row;
  }
  return { width, height, pixels };
}

/** Reverses a row's filter (PNG specification, section 9). */
function unfiltered(
  filter: number,
  coded: Uint8Array,
  { before, size }: { before: Uint8Array; size: number },
): Uint8Array<ArrayBuffer> {
  const row = new Uint8Array(coded.length);
  for (let n = 0; n < coded.length; n++) {
    const [left, up, corner] = [row[n - size] ?? 0, before[n]!, n < size ? 0 : before[n - size]!];
    const predicted = [0, left, up, (left + up) >> 1, filter === 4 ? paeth(left, up, corner) : 0][filter]!;
    row[n] = coded[n]! + predicted;
  }
  return row;
}

function paeth(left: number, up: number, corner: number): number {
  const [a, b, c] = [Math.abs(up - corner), Math.abs(left - corner), Math.abs(left + up - 2 * corner)];
  return a <= b && a <= c ? left : b <= c ? up : corner;
}

function channels(color: number): [number, number, number] {
  return [color >> 16, (color >> 8) & 255, color & 255];
}

/** The place in the palette of the color nearest to this one. */
function nearest(color: number, palette: readonly number[]): number {
  const [red, green, blue] = channels(color);
  let best = 0;
  let least = Number.POSITIVE_INFINITY;
  for (const [n, other] of palette.entries()) {
    const [r, g, b] = channels(other);
    const distance = (r - red) ** 2 + (g - green) ** 2 + (b - blue) ** 2;
    if (distance < least) [best, least] = [n, distance];
  }
  return best;
}

function chunk(type: string, data: Buffer): Buffer {
  const head = Buffer.alloc(8);
  head.writeUInt32BE(data.length, 0);
  head.write(type, 4, "latin1");
  const check = Buffer.alloc(4);
  check.writeUInt32BE(crc32(data, crc32(head.subarray(4))), 0);
  return Buffer.concat([head, data, check]);
}
