/** Figures of a campaign, printed as a table. */
export class Figures {
  readonly #rows = new Map<string, number[]>();

  /** Adds one measurement to a row; the row's name has the unit. */
  add(row: string, value: number): void {
    this.#rows.set(row, [...(this.#rows.get(row) ?? []), value]);
  }

  /** The greatest value of a row. */
  max(row: string): number {
    return Math.max(...(this.#rows.get(row) ?? []));
  }

  /** The table: for each row the number of measurements, minimum, median and maximum. */
  toString(): string {
    const rows = [...this.#rows].map(([name, values]) => {
      const sorted = values.toSorted((a, b) => a - b);
      const median = sorted[Math.floor(sorted.length / 2)]!;
      return [name, ...[sorted.length, sorted[0]!, median, sorted.at(-1)!].map((value) => String(Math.round(value)))];
    });
    const table = [["", "times", "min", "median", "max"], ...rows];
    const widths = table[0]!.map((_, column) => Math.max(...table.map((row) => row[column]!.length)));
    const line = (row: string[]) =>
      row.map((cell, column) => (column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]!))).join("  ");
    return `${table.map(line).join("\n")}\n`;
  }
}
