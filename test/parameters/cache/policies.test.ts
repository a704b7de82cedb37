import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { readPolicies } from "../../../src/parameters/cache/policies.ts";

const day = 86_400_000;
const hour = 3_600_000;
const at = Date.UTC(2030, 0, 31, 12);
const text = (Type: string, Attributes: object) => JSON.stringify({ Type, Version: "1.0", Attributes });
const expiration = text("Expiration", { Timestamp: "2030-01-31T12:00:00.000Z" });
const notice = (Before: string, Unit = "Days") => text("ExpirationNotification", { Before, Unit });
const noChange = (After: string, Unit = "Days") => text("NoChangeNotification", { After, Unit });

describe("policies", () => {
  it("expire the parameter, with a warning a day before without a notification", () => {
    expect(readPolicies([expiration], 0)).toEqual({ expiresAt: at, warnAt: at - day });
  });

  it("warn at the earliest of several notifications", () => {
    const policies = [notice("3", "Hours"), expiration, notice("30"), notice("15")];
    expect(readPolicies(policies, 0)).toEqual({ expiresAt: at, warnAt: at - 30 * day });
    expect(readPolicies([expiration, notice("3", "Hours")], 0)?.warnAt).toBe(at - 3 * hour);
  });

  it("use the shortest of several NoChangeNotifications", () => {
    const policies = [noChange("20"), noChange("36", "Hours")];
    expect(readPolicies(policies, 5_000)).toEqual({ unchangedAt: 5_000 + 36 * hour, unchangedSince: 5_000 });
  });

  it("can be ten of all types", () => {
    const many = [
      expiration,
      ...["1", "2", "3", "4"].map((n) => notice(n)),
      ...["5", "6", "7", "8", "9"].map((n) => noChange(n)),
    ];
    expect(readPolicies(many, 0)).toEqual({
      expiresAt: at,
      warnAt: at - 4 * day,
      unchangedAt: 5 * day,
      unchangedSince: 0,
    });
  });

  it("are undefined without a policy text", () => expect(readPolicies([], 0)).toBeUndefined());

  it.each([
    ["is empty", ""],
    ["is not JSON", "{not json"],
    ["is not an object", "7"],
    ["is null", "null"],
    ["is a list", `[${expiration}]`],
    ["has no type", "{}"],
    ["has an unknown type", text("Renewal", { Timestamp: "2030-01-31T12:00:00Z" })],
    ["has its type from a prototype", '{"__proto__":{"Type":"Expiration"}}'],
    ["has no attributes", '{"Type":"Expiration","Version":"1.0"}'],
    ["has a timestamp of words", text("Expiration", { Timestamp: "tomorrow" })],
    ["has a timestamp without a zone", text("Expiration", { Timestamp: "2030-01-31T12:00:00" })],
    ["has an invalid month", text("Expiration", { Timestamp: "2030-13-31T12:00:00Z" })],
    ["has a year of five digits in UTC", text("Expiration", { Timestamp: "9999-12-31T23:59:59-23:59" })],
    ["has a year before 0 in UTC", text("Expiration", { Timestamp: "0000-01-01T00:00:00+23:59" })],
    ["has a number for a timestamp", text("Expiration", { Timestamp: 1_900_000_000 })],
    ["has no unit", text("NoChangeNotification", { After: "20" })],
    ["has a unit of weeks", noChange("2", "Weeks")],
    ["has a negative span", noChange("-1")],
    ["has a span of six digits", noChange("999999")],
  ])("a policy that %s sets isUnread, and the others still apply", (_, odd) => {
    expect(readPolicies([odd, expiration], 0)).toEqual({ expiresAt: at, warnAt: at - day, isUnread: true });
  });

  it("never throw, and yield finite instants, for any text", () => {
    const anything = fc.oneof(
      fc.string(),
      fc.json(),
      fc.constantFrom(expiration, notice("1"), noChange("2")),
      fc
        .record({ Type: fc.constantFrom("Expiration", "NoChangeNotification"), Attributes: fc.object() })
        .map((one) => JSON.stringify(one)),
    );
    fc.assert(
      fc.property(fc.array(anything, { maxLength: 10 }), fc.integer({ min: 0 }), (texts, modified) => {
        const { isUnread, ...instants } = readPolicies(texts, modified) ?? {};
        for (const instant of Object.values(instants)) expect(Number.isFinite(instant)).toBe(true);
        expect(isUnread === undefined || isUnread).toBe(true);
      }),
    );
  });
});
