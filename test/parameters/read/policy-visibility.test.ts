import { describe, expect, it } from "vitest";
import { PolicyVisibility } from "../../../src/parameters/read/policy-visibility.ts";
import { Failure } from "../../../src/runtime/failure.ts";
import { FakeClock } from "../../support/clock.ts";

const denial = new Failure("AccessDenied", "wait", "denied");
const hour = 3_600_000;

describe("the visibility of policies", () => {
  it("is unknown before the first answer, and `seen` after it", () => {
    const visibility = new PolicyVisibility(new FakeClock());
    expect(visibility.of("id")).toBeUndefined();
    expect(visibility.answered("id")).toBe("first");
    expect(visibility.answered("id")).toBeUndefined();
    expect(visibility.of("id")).toBe("seen");
    expect(visibility.of("other")).toBeUndefined();
  });

  it("is the denial until an answer, and no call is made for an hour after each denial", async () => {
    const clock = new FakeClock();
    const visibility = new PolicyVisibility(clock);
    expect(visibility.denied("id", denial)).toBe(true);
    expect(visibility.isDenied("id")).toBe(true);
    await clock.advance(hour);
    expect(visibility.isDenied("id")).toBe(false);
    expect(visibility.of("id")).toBe(denial);
    expect(visibility.denied("id", denial)).toBe(false);
    expect(visibility.isDenied("id")).toBe(true);
    expect(visibility.answered("id")).toBe("regained");
    expect(visibility.isDenied("id")).toBe(false);
    expect(visibility.of("id")).toBe("seen");
  });

  it("is unknown again after the identity was forgotten", () => {
    const visibility = new PolicyVisibility(new FakeClock());
    visibility.answered("id");
    visibility.denied("id", denial);
    visibility.forget("id");
    expect(visibility.of("id")).toBeUndefined();
    expect(visibility.isDenied("id")).toBe(false);
  });
});
