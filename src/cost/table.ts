import { type OwnPrices, type PriceName, prices, pricesOf } from "./prices.ts";

/** A counted item and its cost. */
export interface Cost {
  what: string;
  /** Per month; undefined if unknown. */
  count: number | undefined;
  /** Undefined if the count is. */
  dollars: number | undefined;
  /** Whether the cost is one-time, and excluded from the monthly sum. */
  once?: true;
}

/** Days of a month in all estimates. */
export const monthDays = 30;
export const monthSeconds = monthDays * 86_400;

/** The sum of the monthly costs. */
export function total(costs: readonly Cost[]): number {
  return costs.reduce((sum, { dollars = 0, once }) => sum + (once ? 0 : dollars), 0);
}

/** Formats the costs as a text table. Pure. */
export function asTable(costs: readonly Cost[]): string {
  const rows = [
    ["", "a month", "dollars"],
    ...costs.map(({ what, count, dollars, once }) => [
      once ? `${what} (once)` : what,
      count === undefined ? "unknown" : Math.round(count).toLocaleString("en-US"),
      dollars === undefined ? "unknown" : money(dollars),
    ]),
    ["in all, a month", "", money(total(costs))],
  ];
  const widths = [0, 1, 2].map((column) => Math.max(...rows.map((row) => row[column]!.length)));
  const line = ([what, count, dollars]: string[]) =>
    `${what!.padEnd(widths[0]!)}  ${count!.padStart(widths[1]!)}  ${dollars!.padStart(widths[2]!)}\n`;
  return rows.map(line).join("");
}

/** Formats the costs and the prices used as JSON. Pure. */
export function asJson(costs: readonly Cost[], own: OwnPrices): string {
  const used = Object.fromEntries(
    (Object.keys(prices) as PriceName[]).map((name) => {
      const { dollars, per, page } = prices[name];
      return [name, { dollars: own.get(name) ?? dollars, per, page }];
    }),
  );
  const rows = costs.map(({ what, count, dollars, once = false }) => ({
    what,
    count: count === undefined ? null : Math.round(count),
    dollars: dollars === undefined ? null : cents(dollars),
    once,
  }));
  const whole = { costs: rows, dollars: cents(total(costs)), prices: used, pricesOf };
  return `${JSON.stringify(whole, undefined, 2)}\n`;
}

function money(dollars: number): string {
  return `$${dollars.toLocaleString("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 2 })}`;
}

function cents(dollars: number): number {
  return Math.round(dollars * 100) / 100;
}
