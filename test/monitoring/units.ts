/** A number with three digits, or all digits before the point. */
function short(value: number): string {
  return String(Number(Math.abs(value) >= 100 ? value.toFixed(0) : value.toPrecision(3)));
}

const seconds: [from: number, unit: string][] = [
  [86_400, "days"],
  [3_600, "h"],
  [120, "min"],
  [1, "s"],
];
const bytes: [from: number, unit: string][] = [
  [2 ** 30, "GiB"],
  [2 ** 20, "MiB"],
  [2 ** 10, "KiB"],
  [1, "B"],
];

function scaled(value: number, units: [from: number, unit: string][]): string {
  const [from, unit] = units.find(([least]) => Math.abs(value) >= least) ?? units.at(-1)!;
  return `${short(unit === "min" ? value / 60 : value / from)} ${unit}`;
}

const formats: Record<string, (value: number) => string> = {
  s: (value) => (Math.abs(value) > 0 && Math.abs(value) < 1 ? `${short(value * 1_000)} ms` : scaled(value, seconds)),
  bytes: (value) => scaled(value, bytes),
  percentunit: (value) => `${short(value * 100)} %`,
  currencyUSD: (value) => `$${short(value)}`,
  reqps: (value) => `${short(value)}/s`,
  ops: (value) => `${short(value)}/s`,
  none: short,
};

/** A value as Grafana's unit shows it. @throws Error for a unit that no panel has */
export function formatted(value: number, unit: string): string {
  const format = formats[unit];
  if (!format) throw new Error(`no format for the unit ${unit}`);
  return format(value);
}
