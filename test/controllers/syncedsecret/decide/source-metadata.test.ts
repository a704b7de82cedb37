import { describe, expect, it } from "vitest";
import { firstExpiryOf, nextExpiryOf } from "../../../../src/controllers/syncedsecret/decide/source-metadata.ts";
import { aSnapshot, entry, type SnapshotBuilder, statusSources } from "./builders.ts";
import { day, expired, minute, missing, served, wall } from "./states.ts";

const one = () => aSnapshot().of({ data: [entry("A", "/a")] });
const soon = { policies: { expiresAt: wall + day } };
const past = { policies: { expiresAt: wall - 10 * minute } };
const listing = (extra: object) =>
  one()
    .withSecret({ "/a": 3 })
    .listing(statusSources({ "/a": 3 }, extra));
const ofA = { label: "data[0] (A)", name: "/a", selector: "" };

describe("what is known of a source's policies and key", () => {
  it.each<[string, SnapshotBuilder, object]>([
    ["is nothing before it is described", one().withSource("/a", served(3)), { sources: [], isStored: false }],
    [
      "is its key",
      one().withSource("/a", served(3, { keyId: "alias/shop" })),
      { sources: [{ ...ofA, keyId: "alias/shop", hasExpired: false }], isStored: false },
    ],
    [
      "is its expiry",
      one().withSource("/a", served(3, soon)),
      { sources: [{ ...ofA, ...soon, hasExpired: false }], isStored: false },
    ],
    [
      "comes from the status before AWS has answered",
      listing({ keyId: "alias/shop" }),
      { sources: [{ ...ofA, keyId: "alias/shop", hasExpired: false }], isStored: true },
    ],
    [
      "comes from the status for a missing parameter",
      listing({ keyId: "alias/shop" }).withSource("/a", { ...missing("suspect", 3), metadata: {} }),
      { sources: [{ ...ofA, keyId: "alias/shop", hasExpired: false }], isStored: true },
    ],
    [
      "comes from AWS rather than from the status",
      listing({ keyId: "alias/old" }).withSource("/a", served(3, { keyId: "alias/shop" })),
      { sources: [{ ...ofA, keyId: "alias/shop", hasExpired: false }], isStored: false },
    ],
    [
      "says that it has expired",
      one().withSource("/a", { ...expired(3), metadata: past }),
      { sources: [{ ...ofA, ...past, hasExpired: true }], isStored: false },
    ],
    [
      "says that it has expired according to the status, once it is missing",
      listing({ expiresAt: new Date(past.policies.expiresAt).toISOString() }).withSource("/a", missing("suspect", 3)),
      { sources: [{ ...ofA, ...past, hasExpired: true }], isStored: true },
    ],
    [
      "is not reported of a source whose keys DeleteKeys drops",
      one()
        .of({ refresh: { whenExpired: "DeleteKeys" } })
        .withSource("/a", { ...expired(3), metadata: past }),
      { sources: [], isStored: false },
    ],
    [
      "is known of each member of a path",
      aSnapshot()
        .of({ dataFrom: [{ path: { name: "/p" } }] })
        .withPath("/p", { "/p/x": served(1, soon) }),
      { sources: [{ label: "dataFrom[0]", name: "/p/x", selector: "", ...soon, hasExpired: false }] },
    ],
  ])("%s", (_, given, expected) => expect(given.build().assessment.sourcesMetadata).toMatchObject(expected));

  it("is not asked for under Once", () => {
    const given = one()
      .of({ refresh: { policy: "Once" } })
      .withSource("/a", served(3, soon));
    expect(given.build().assessment.sourcesMetadata).toBeUndefined();
  });

  it("gives the next expiry without those that have passed, and the first one with them", () => {
    const given = aSnapshot()
      .of({ data: [entry("A", "/a"), entry("B", "/b"), entry("C", "/c")] })
      .withSource("/a", { ...expired(3), metadata: past })
      .withSource("/b", served(1, { policies: { expiresAt: wall + 2 * day } }))
      .withSource("/c", served(1, soon));
    const { sourcesMetadata } = given.build().assessment;
    expect(nextExpiryOf(sourcesMetadata!)).toBe(wall + day);
    expect(firstExpiryOf(sourcesMetadata!)).toBe(wall - 10 * minute);
    expect(nextExpiryOf({ sources: [], isStored: false })).toBeUndefined();
  });
});
