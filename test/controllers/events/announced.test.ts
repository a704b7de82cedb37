import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { isAnnouncedByAws } from "../../../src/controllers/events/announced.ts";
import { RecentNotices } from "../../../src/controllers/events/recent.ts";
import type { ParameterReference, PathReference, Reference } from "../../../src/parameters/read/reference.ts";
import { FakeClock } from "../../support/clock.ts";
import { FakeQueue } from "../../support/fake-queue.ts";

const identity = new FakeQueue(new FakeClock()).identity("one");
const account = "123456789012";
const named = (name: string, selector = ""): ParameterReference => ({ kind: "parameter", identity, name, selector });
const below = (path: string, recursive = true): PathReference => {
  return { kind: "path", identity, path, recursive, label: "", types: [] };
};
/** Whether a change of a parameter at the reference's place concerns the reference. */
const concerns = (name: string, reference: Reference) => {
  const recent = new RecentNotices(new FakeClock(), 60_000);
  recent.add("here", name);
  return recent.has("here", reference);
};
const arn = (where: string, name: string) => named(`arn:aws:ssm:${where}:parameter${name}`);

describe("EventBridge announces", () => {
  test.each([
    ["a name", named("/shop/db"), true],
    ["a name without a slash", named("db"), true],
    ["a label of the parameter", named("/shop/db", ":prod"), true],
    ["an ARN of our account", arn(`eu-west-1:${account}`, "/shop/db"), true],
    ["another account's ARN", arn("eu-west-1:999999999999", "/shop/db"), false],
    ["another region's ARN", arn(`eu-west-2:${account}`, "/shop/db"), false],
    ["a parameter published by AWS", named("/aws/service/ami"), false],
    ["a parameter published by AWS, by ARN", arn("eu-west-1:", "/aws/service/ami"), false],
    ["a secret of Secrets Manager", named("/aws/reference/secretsmanager/db"), false],
    ["a name that only shares the prefix", named("/awsome/db"), true],
    ["a path", below("/shop/"), true],
    ["everything", below("/"), true],
    ["a path published by AWS", below("/aws/service/x"), false],
    ["the path /aws", below("/aws"), false],
  ])("%s", (_, reference, is) => {
    expect(isAnnouncedByAws(reference, account)).toBe(is);
  });
});

describe("a change of /shop/db/user concerns", () => {
  test.each([
    ["its name", named("/shop/db/user"), true],
    ["a version of the parameter", named("/shop/db/user", ":3"), true],
    ["its ARN", arn(`eu-west-1:${account}`, "/shop/db/user"), true],
    ["a name above it", named("/shop/db"), false],
    ["a name with the same prefix", named("/shop/db/user2"), false],
    ["the path above it", below("/shop/db", false), true],
    ["the path above it with a trailing slash", below("/shop/db/", false), true],
    ["a path further up", below("/shop"), true],
    ["a non-recursive path further up", below("/shop", false), false],
    ["everything", below("/"), true],
    ["a path with the same prefix", below("/shop/d"), false],
  ])("%s", (_, reference, is) => {
    expect(concerns("/shop/db/user", reference)).toBe(is);
  });
});

test("a name with and without a leading slash is the same", () => {
  expect(concerns("/db", named("db"))).toBe(true);
});

test("a path is concerned exactly if a listing of it would include the name", () => {
  const part = fc.constantFrom("a", "b", "ab", ".");
  const name = fc.array(part, { minLength: 1, maxLength: 4 }).map((parts) => `/${parts.join("/")}`);
  fc.assert(
    fc.property(name, name, fc.boolean(), (changed, path, recursive) => {
      const [above, parts] = [path.split("/"), changed.split("/")];
      const isBelow = above.every((one, i) => parts[i] === one) && parts.length > above.length;
      expect(concerns(changed, below(path, recursive))).toBe(
        isBelow && (recursive || parts.length === above.length + 1),
      );
    }),
  );
});

describe("recent notices", () => {
  const has = (recent: RecentNotices, name: string, place = "here") => recent.has(place, named(name));

  test("are kept for their time after the last notice of a name, per place", async () => {
    const clock = new FakeClock();
    const recent = new RecentNotices(clock, 60_000);
    recent.add("here", "/a");
    recent.add("here", "/b");
    await clock.advance(50_000);
    recent.add("here", "/a");
    await clock.advance(10_001);
    expect(has(recent, "/b")).toBe(false);
    expect(has(recent, "/a")).toBe(true);
    expect(has(recent, "/a", "there")).toBe(false);
    expect([recent.has("here", below("/")), recent.has("there", below("/"))]).toEqual([true, false]);
    await clock.advance(50_000);
    expect(has(recent, "/a")).toBe(false);
  });

  test("are limited in number: the oldest are dropped", () => {
    const recent = new RecentNotices(new FakeClock(), 60_000);
    for (let i = 0; i <= 10_000; i++) recent.add("here", `/${i}`);
    expect(has(recent, "/0")).toBe(false);
    expect(has(recent, "/1")).toBe(true);
  });
});
