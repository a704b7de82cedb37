import { describe, expect, it } from "vitest";
import { damage } from "../../../../src/controllers/syncedsecret/decide/drift.ts";
import { aSnapshot, entry } from "./builders.ts";
import { eachDecides } from "./matchers.ts";
import { served } from "./states.ts";

const one = () =>
  aSnapshot()
    .of({ data: [entry("A", "/a")] })
    .withSource("/a", served(3));
const merge = () => one().of({ target: { creationPolicy: "Merge" } });
const orphan = () => one().of({ target: { creationPolicy: "Orphan" } });
const owner = {
  apiVersion: "keyferry.io/v1alpha1",
  kind: "SyncedSecret",
  name: "checkout",
  uid: "uid-1",
  controller: true,
};
const adopt = { annotations: { "keyferry.io/adopt": "checkout" } };
const managed = (annotation: string) => [
  {
    ...{ manager: "keyferry", operation: "Apply", fieldsType: "FieldsV1" },
    fieldsV1: { "f:metadata": { "f:annotations": { [`f:${annotation}`]: {} } } },
  },
];

describe("a Secret with the target's name", () => {
  eachDecides([
    ["that does not exist is created", one(), "read sources"],
    ["that we control is ours", one().withOtherSecret({ ownerReferences: [owner] }), "read sources"],
    ["that nobody controls is not changed", one().withOtherSecret({}), "refuse SecretConflict"],
    [
      "that another SyncedSecret controls is not changed",
      one().withOtherSecret({ ownerReferences: [{ ...owner, name: "other", uid: "uid-9" }] }),
      "refuse SecretConflict",
    ],
    [
      "that another kind of controller has is not changed",
      one().withOtherSecret({
        ownerReferences: [{ ...owner, kind: "Certificate", apiVersion: "cert-manager.io/v1", uid: "uid-9" }],
      }),
      "refuse SecretConflict",
    ],
    [
      "whose deleted SyncedSecret had our name is waited for",
      one().withOtherSecret({ ownerReferences: [{ ...owner, uid: "uid-0" }] }),
      "refuse SecretConflict",
    ],
    [
      "that we own without controlling it is not changed",
      one().withOtherSecret({ ownerReferences: [{ ...owner, controller: false }] }),
      "refuse SecretConflict",
    ],
    ["with the annotation adopt is taken over", one().withOtherSecret(adopt), "read sources"],
    [
      "with the annotation adopt for another SyncedSecret is not changed",
      one().withOtherSecret({ annotations: { "keyferry.io/adopt": "other" } }),
      "refuse SecretConflict",
    ],
    [
      "with the annotation adopt and another controller is not changed",
      one().withOtherSecret({
        ...adopt,
        ownerReferences: [{ ...owner, kind: "Certificate", apiVersion: "cert-manager.io/v1", uid: "uid-9" }],
      }),
      "refuse SecretConflict",
    ],
    [
      "that lost its owner reference but has our mark is ours",
      one().withOtherSecret({
        annotations: { "keyferry.io/owner-uid": "uid-1" },
        managedFields: managed("keyferry.io/owner-uid"),
      }),
      "read sources",
    ],
    [
      "with our mark set by another client is not changed",
      one().withOtherSecret({ annotations: { "keyferry.io/owner-uid": "uid-1" } }),
      "refuse SecretConflict",
    ],
    [
      "with another SyncedSecret's mark is not changed",
      one().withOtherSecret({
        annotations: { "keyferry.io/owner-uid": "uid-9" },
        managedFields: managed("keyferry.io/owner-uid"),
      }),
      "refuse SecretConflict",
    ],
    [
      "with our mark and another controller is not changed",
      one().withOtherSecret({
        annotations: { "keyferry.io/owner-uid": "uid-1" },
        managedFields: managed("keyferry.io/owner-uid"),
        ownerReferences: [{ ...owner, kind: "Certificate", apiVersion: "cert-manager.io/v1", uid: "uid-9" }],
      }),
      "refuse SecretConflict",
    ],
    [
      "that was made as an Orphan by us is ours",
      orphan().withOtherSecret({
        annotations: { "keyferry.io/orphan-of": "uid-1" },
        managedFields: managed("keyferry.io/orphan-of"),
      }),
      "read sources",
    ],
    [
      "that was made as an Orphan by another SyncedSecret is not changed",
      orphan().withOtherSecret({
        annotations: { "keyferry.io/orphan-of": "uid-9" },
        managedFields: managed("keyferry.io/orphan-of"),
      }),
      "refuse SecretConflict",
    ],
    ["is refused on a refresh request too", one().withOtherSecret({}).refreshing(), "refuse SecretConflict"],
    [
      "is refused under Once too",
      one()
        .of({ refresh: { policy: "Once" } })
        .withOtherSecret({}),
      "refuse SecretConflict",
    ],
    ["is refused with read-only too", one().withOtherSecret({}).readOnly(), "refuse SecretConflict"],
  ]);
});

describe("a Secret under Merge", () => {
  eachDecides([
    ["must exist", merge(), "refuse SecretConflict"],
    ["must carry the annotation allow-merge", merge().withOtherSecret({}), "refuse SecretConflict"],
    [
      "must carry the annotation allow-merge with our name",
      merge().withOtherSecret({ annotations: { "keyferry.io/allow-merge": "other" } }),
      "refuse SecretConflict",
    ],
    [
      "may be written with the annotation",
      merge().withOtherSecret({ annotations: { "keyferry.io/allow-merge": "checkout" } }),
      "read sources",
    ],
    [
      "may have another controller",
      merge().withOtherSecret({
        annotations: { "keyferry.io/allow-merge": "checkout" },
        ownerReferences: [{ ...owner, kind: "Certificate", apiVersion: "cert-manager.io/v1", uid: "uid-9" }],
      }),
      "read sources",
    ],
    ["is not adopted by the annotation adopt", merge().withOtherSecret(adopt), "refuse SecretConflict"],
    [
      "is not ours by a controller reference",
      merge().withOtherSecret({ ownerReferences: [owner] }),
      "refuse SecretConflict",
    ],
  ]);
});

describe("the drift of a Secret", () => {
  const of = (builder: ReturnType<typeof one>) => {
    const { resource, target, present } = builder.facts();
    return damage(resource, target, present!);
  };
  const none = { data: false, metadata: false, unrecorded: false };

  it.each([
    ["is none after our apply", one().withSecret({ "/a": 3 }), none],
    ["is none if others have added a key", one().withSecret({ "/a": 3 }, { added: ["X"] }), none],
    ["is in the data after an edit", one().withSecret({ "/a": 3 }, { edited: ["A"] }), { ...none, data: true }],
    [
      "is in the data after one of two keys was edited",
      one().withSecret({ "/a": 3 }, { keys: ["A", "B"], edited: ["B"] }),
      { ...none, data: true },
    ],
    [
      "is in the metadata without our label",
      one().withSecret({ "/a": 3 }, { unlabelled: true }),
      { ...none, metadata: true },
    ],
    [
      "is in the metadata without our owner reference",
      one().withSecret({ "/a": 3 }, { unowned: true }),
      { ...none, metadata: true },
    ],
    [
      "is in the metadata after an edit of an annotation of the spec",
      one()
        .of({ target: { annotations: { team: "x" } } })
        .withSecret({ "/a": 3 }, { annotations: { team: "y" } }),
      { ...none, metadata: true },
    ],
    [
      "is not in the owner's mark, which earlier releases did not write",
      one().withSecret({ "/a": 3 }, { annotations: { "keyferry.io/owner-uid": "x" } }),
      none,
    ],
    [
      "is everything without our managedFields entry",
      one().withSecret({ "/a": 3 }, { unrecorded: true }),
      { data: true, metadata: true, unrecorded: true },
    ],
    ["needs no owner reference under Orphan", orphan().withSecret({ "/a": 3 }), none],
    ["needs no owner reference under Merge", merge().withSecret({ "/a": 3 }), none],
  ])("%s", (_, given, expected) => expect(of(given)).toEqual(expected));

  it("is in the data after an apply of another client as our field manager", () => {
    expect(one().withSecret({ "/a": 3 }).forged().facts().damage).toEqual({ ...none, data: true });
  });

  it("is unknown before the first apply", () => {
    expect(
      one()
        .withOtherSecret({ ownerReferences: [owner] })
        .forged()
        .facts().damage,
    ).toBeUndefined();
  });
});
