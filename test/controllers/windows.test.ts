import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { openingOf, type Window } from "../../src/controllers/windows.ts";

const at = (text: string) => Date.parse(text);
const nightly = (more: Partial<Window> = {}): Window[] => [
  { schedule: "0 2 * * *", duration: "2h", timeZone: "Europe/Paris", ...more },
];

describe("a window", () => {
  const cases: [what: string, windows: Window[] | undefined, now: string, expected: object][] = [
    ["is always open if there is none", undefined, "2026-07-01T12:00:00Z", { state: "open" }],
    [
      "is closed before its start",
      nightly(),
      "2026-06-30T23:59:59Z",
      { state: "closed", from: at("2026-07-01T00:00:00Z") },
    ],
    ["opens at its start", nightly(), "2026-07-01T00:00:00Z", { state: "open", until: at("2026-07-01T02:00:00Z") }],
    ["is open to its end", nightly(), "2026-07-01T01:59:59Z", { state: "open", until: at("2026-07-01T02:00:00Z") }],
    ["closes at its end", nightly(), "2026-07-01T02:00:00Z", { state: "closed", from: at("2026-07-02T00:00:00Z") }],
    [
      "is of UTC without a time zone",
      [{ schedule: "0 2 * * *", duration: "1h" }],
      "2026-07-01T02:30:00Z",
      { state: "open" },
    ],
    [
      "that overlaps with another is open until the later end",
      [...nightly(), { schedule: "30 3 * * *", duration: "2h", timeZone: "Europe/Paris" }],
      "2026-07-01T01:45:00Z",
      { state: "open", until: at("2026-07-01T03:30:00Z") },
    ],
    [
      "may be longer than the time between its starts",
      nightly({ duration: "36h" }),
      "2026-07-01T12:00:00Z",
      { state: "open", until: at("2026-07-02T12:00:00Z") },
    ],
    [
      "whose start falls into the hour that the time zone skips opens at its end",
      nightly({ schedule: "30 2 * * *" }),
      "2026-03-29T01:00:00Z",
      { state: "open", until: at("2026-03-29T03:00:00Z") },
    ],
    [
      "is closed before the skipped hour",
      nightly({ schedule: "30 2 * * *" }),
      "2026-03-29T00:59:59Z",
      { state: "closed", from: at("2026-03-29T01:00:00Z") },
    ],
    [
      "whose start falls into the repeated hour opens once",
      nightly({ schedule: "30 2 * * *", duration: "30m" }),
      "2026-10-25T01:30:00Z",
      { state: "closed", from: at("2026-10-26T01:30:00Z") },
    ],
    [
      "lasts its duration also when the clocks go back meanwhile",
      nightly({ schedule: "0 1 * * *", duration: "3h" }),
      "2026-10-25T01:59:59Z",
      { state: "open", until: at("2026-10-25T02:00:00Z") },
    ],
  ];
  it.each(cases)("%s", (_, windows, now, expected) => {
    expect(openingOf(windows, at(now))).toMatchObject(expected);
  });

  it.each([
    ["schedule", { schedule: "61 2 * * *" }],
    ["time zone", { timeZone: "Europe/Nowhere" }],
    ["schedule that never comes", { schedule: "0 0 31 2 *" }],
    ["schedule that is slow to search", { schedule: "0 0 1 * 5#5" }],
  ])("with a wrong %s says which one", (_, wrong) => {
    const opening = openingOf([...nightly(), ...nightly(wrong)], at("2026-07-01T00:00:00Z"));
    expect(opening).toMatchObject({ state: "invalid", problem: expect.stringMatching(/^windows\[1\]: /) });
  });

  it("that is closed is open at the instant that it names", () => {
    const zones = ["Europe/Paris", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "UTC"];
    const window = fc.record({
      schedule: fc.tuple(fc.nat(59), fc.nat(23)).map(([minute, hour]) => `${minute} ${hour} * * *`),
      duration: fc.integer({ min: 1, max: 600 }).map((minutes) => `${minutes}m`),
      timeZone: fc.constantFrom(...zones),
    });
    const instant = fc.integer({ min: at("2026-01-01T00:00:00Z"), max: at("2028-01-01T00:00:00Z") });
    fc.assert(
      fc.property(fc.array(window, { minLength: 1, maxLength: 3 }), instant, (windows, now) => {
        const opening = openingOf(windows, now);
        if (opening.state !== "closed") return;
        expect(opening.from).toBeGreaterThan(now);
        expect(openingOf(windows, opening.from!).state).toBe("open");
        expect(openingOf(windows, opening.from! - 1).state).toBe("closed");
      }),
      { numRuns: 500 },
    );
  });
});

it("costs one search for each start, whatever the schedule", () => {
  const schedules = Array.from(
    { length: 500 },
    (_, index) => `${index % 60} ${index % 24} 30,31 2,4,${(index % 2) + 1} *`,
  );
  const windows = schedules.map((schedule) => ({ schedule, duration: "1h" }));
  const before = process.cpuUsage().user;
  for (const window of windows) expect(openingOf([window], at("2026-07-01T00:00:00Z")).state).toBe("invalid");
  for (let call = 0; call < 5_000; call++) openingOf(nightly(), at("2026-07-01T12:00:00Z") + call);
  expect((process.cpuUsage().user - before) / 1_000, "milliseconds of CPU time").toBeLessThan(500);
});
