import { describe } from "vitest";
import { aSnapshot } from "./builders.ts";
import { eachEnds } from "./matchers.ts";
import { expired, missing, served } from "./states.ts";

type Policy = "Retain" | "DeleteKeys" | "DeleteSecret";

describe("a path's member", () => {
  const path = (refresh: { whenMissing?: Policy; whenExpired?: Policy }) =>
    aSnapshot()
      .of({ dataFrom: [{ path: { name: "/p" } }], refresh })
      .withSecret({ "/p/x": 1, "/p/y": 1 }, { keys: ["x", "y"] });
  const withX = (refresh: { whenMissing?: Policy; whenExpired?: Policy }, x: ReturnType<typeof served>) =>
    path(refresh).withPath("/p", { "/p/x": x, "/p/y": served(1) });
  const rest = { read: { "/p/y": 1 }, live: { x: "old", y: "old" } };

  eachEnds([
    ["that is gone keeps its key under Retain", withX({}, missing("gone", 1)), rest, "keep"],
    [
      "that is gone loses its key under DeleteKeys",
      withX({ whenMissing: "DeleteKeys" }, missing("gone", 1)),
      rest,
      "apply y",
    ],
    [
      "that is gone has the Secret deleted under DeleteSecret",
      withX({ whenMissing: "DeleteSecret" }, missing("gone", 1)),
      rest,
      "delete SourceGone",
    ],
    [
      "that may come back keeps its key under DeleteKeys",
      withX({ whenMissing: "DeleteKeys" }, missing("suspect", 1)),
      rest,
      "keep",
    ],
    [
      "that may come back keeps the Secret under DeleteSecret",
      withX({ whenMissing: "DeleteSecret" }, missing("suspect", 1)),
      rest,
      "keep",
    ],
    [
      "of a mass deletion keeps its key under DeleteKeys",
      withX({ whenMissing: "DeleteKeys" }, missing("held", 1)),
      rest,
      "keep",
    ],
    [
      "that only the status knows keeps its key under DeleteKeys",
      path({ whenMissing: "DeleteKeys" }).withPath("/p", { "/p/y": served(1) }),
      rest,
      "keep",
    ],
    [
      "that only the status knows keeps the Secret under DeleteSecret",
      path({ whenMissing: "DeleteSecret" }).withPath("/p", { "/p/y": served(1) }),
      rest,
      "keep",
    ],
    ["that has expired keeps its key under Retain", withX({}, expired(1)), rest, "keep"],
    [
      "that has expired loses its key under DeleteKeys",
      withX({ whenExpired: "DeleteKeys" }, expired(1)),
      rest,
      "apply y",
    ],
    [
      "that has expired has the Secret deleted under DeleteSecret",
      withX({ whenExpired: "DeleteSecret" }, expired(1)),
      rest,
      "delete Expired",
    ],
    [
      "that expired and is gone follows whenExpired",
      withX({ whenMissing: "DeleteSecret", whenExpired: "DeleteKeys" }, expired(1, "gone")),
      rest,
      "apply y",
    ],
    [
      "that expired and is gone keeps the Secret that whenMissing would delete",
      withX({ whenMissing: "DeleteSecret", whenExpired: "Retain" }, expired(1, "gone")),
      rest,
      "keep",
    ],
    [
      "that expired and is gone is kept by whenExpired",
      withX({ whenMissing: "DeleteKeys", whenExpired: "Retain" }, expired(1, "gone")),
      rest,
      "keep",
    ],
  ]);
});
