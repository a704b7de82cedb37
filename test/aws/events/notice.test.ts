import fc from "fast-check";
import { expect, test } from "vitest";
import { parseNotice } from "../../../src/aws/events/notice.ts";

const change = {
  version: "0",
  id: "6a7e8feb-b491-4cf7-a9f1-bf3703467718",
  "detail-type": "Parameter Store Change",
  source: "aws.ssm",
  account: "123456789012",
  time: "2026-05-22T16:43:48Z",
  region: "eu-west-1",
  resources: ["arn:aws:ssm:eu-west-1:123456789012:parameter/shop/db"],
  detail: { operation: "Update", name: "/shop/db", type: "SecureString", description: "d" },
};
const policy = {
  ...change,
  "detail-type": "Parameter Store Policy Action",
  detail: { "parameter-name": "/shop/db", "parameter-type": "SecureString", "policy-type": "Expiration" },
};
const read = {
  kind: "parameter",
  type: "change",
  account: "123456789012",
  region: "eu-west-1",
  name: "/shop/db",
  operation: "Update",
  time: Date.UTC(2026, 4, 22, 16, 43, 48),
};
const of = (event: unknown) => parseNotice(JSON.stringify(event));
const unknown = { kind: "unknown" };

test("reads a change with account and region of the event", () => {
  expect(of(change)).toEqual(read);
});

test("reads a policy action with the name from either field", () => {
  expect(of(policy)).toEqual({ ...read, type: "policy", operation: "Expiration" });
  expect(of({ ...policy, detail: { name: "/shop/db" } })).toEqual({ ...read, type: "policy", operation: "" });
});

test("adds the leading slash to a name without one, in the name and in the ARN", () => {
  const resources = ["arn:aws:ssm:eu-west-1:123456789012:parameter/db"];
  expect(of({ ...change, resources, detail: { ...change.detail, name: "db" } })).toMatchObject({ name: "/db" });
});

test("unwraps an SNS notification once, and reads an event with raw delivery", () => {
  const wrapped = { Type: "Notification", MessageId: "1", TopicArn: "t", Message: JSON.stringify(change) };
  expect(of(wrapped)).toEqual(read);
  expect(of({ Type: "Notification", Message: JSON.stringify(wrapped) })).toEqual(unknown);
  expect(of({ Type: "SubscriptionConfirmation", Message: JSON.stringify(change) })).toEqual(unknown);
  expect(of({ Type: "Notification", Message: change })).toEqual(unknown);
});

test.each<[string, object]>([
  ["resources are left out", { resources: undefined }],
  ["resources are empty", { resources: [] }],
])("reads an event if %s", (_, part) => {
  expect(of({ ...change, ...part })).toEqual(read);
});

test("ignores an invalid time and an invalid operation", () => {
  const detail = { name: "/shop/db", operation: "<script>" };
  expect(of({ ...change, time: "yesterday", detail })).toEqual({ ...read, time: undefined, operation: "" });
});

test.each<[string, unknown]>([
  ["another source", { ...change, source: "aws.s3" }],
  ["a custom source with the same prefix", { ...change, source: "aws.ssm.custom" }],
  ["another type", { ...change, "detail-type": "EC2 Command Status-change Notification" }],
  ["an ARN of another account", { ...change, resources: ["arn:aws:ssm:eu-west-1:999999999999:parameter/shop/db"] }],
  ["an ARN of another region", { ...change, resources: ["arn:aws:ssm:eu-west-2:123456789012:parameter/shop/db"] }],
  ["an ARN of another name", { ...change, resources: ["arn:aws:ssm:eu-west-1:123456789012:parameter/shop/x"] }],
  ["a resource that is not an ARN", { ...change, resources: [7] }],
  ["resources that are not a list", { ...change, resources: "arn" }],
  ["an invalid account", { ...change, account: "1" }],
  ["no region", { ...change, region: undefined }],
  ["an invalid name", { ...change, detail: { name: "/a b" } }],
  ["a name of megabytes", { ...change, detail: { name: "x".repeat(200_000) } }],
  ["no detail", { ...change, detail: null }],
  ["a detail that is a list", { ...change, detail: ["/shop/db"] }],
  ["a list", [change]],
  ["a string", "aws.ssm"],
  ["null", null],
])("does not recognize an event with %s", (_, event) => {
  expect(of(event)).toEqual(unknown);
});

test("rejects invalid, too long and too deep JSON quickly", () => {
  const start = performance.now();
  for (const body of ["", "{", "[".repeat(65_536), '{"a":'.repeat(13_000), JSON.stringify(change).padEnd(65_537)]) {
    expect(parseNotice(body)).toEqual(unknown);
  }
  expect(parseNotice(JSON.stringify(change).padEnd(65_536))).toEqual(read);
  expect(performance.now() - start).toBeLessThan(2_000);
});

test("reads only own properties of the message", () => {
  const { source: _, ...rest } = change;
  const body = JSON.stringify(rest).replace(/^\{/, '{"__proto__":{"source":"aws.ssm"},');
  expect(parseNotice(body)).toEqual(unknown);
  expect(({} as { source?: string }).source).toBeUndefined();
});

const keyId = "1234abcd-12ab-34cd-56ef-1234567890ab";
const arn = `arn:aws:kms:eu-west-1:123456789012:key/${keyId}`;
const deleted = {
  ...change,
  source: "aws.kms",
  "detail-type": "KMS CMK Deletion",
  resources: [arn],
  detail: { "key-id": keyId },
};
const call = {
  ...deleted,
  "detail-type": "AWS API Call via CloudTrail",
  resources: [],
  detail: {
    eventSource: "kms.amazonaws.com",
    eventName: "ScheduleKeyDeletion",
    awsRegion: "eu-west-1",
    requestParameters: { keyId, pendingWindowInDays: 7 },
    responseElements: { keyId: arn, keyState: "PendingDeletion", deletionDate: "Dec 1, 2026, 12:00:00 AM" },
    resources: [{ accountId: "123456789012", type: "AWS::KMS::Key", ARN: arn }],
  },
};
const ofKey = { kind: "key", type: "key", account: "123456789012", region: "eu-west-1", name: arn };

test.each(["KMS CMK Deletion", "KMS Imported Key Material Expiration", "KMS CMK Rotation"])(
  "reads the event %s of a key",
  (operation) => {
    expect(of({ ...deleted, "detail-type": operation })).toEqual({ ...ofKey, operation });
    expect(of({ ...deleted, "detail-type": operation, resources: [] })).toEqual({ ...ofKey, operation });
  },
);

test.each([
  "ScheduleKeyDeletion",
  "CancelKeyDeletion",
  "DisableKey",
  "EnableKey",
  "ImportKeyMaterial",
  "DeleteImportedKeyMaterial",
])("reads the CloudTrail event of %s, whichever field names the key", (eventName) => {
  const detail = { ...call.detail, eventName };
  expect(of({ ...call, detail })).toEqual({ ...ofKey, operation: eventName });
  expect(of({ ...call, detail: { ...detail, resources: undefined } })).toEqual({ ...ofKey, operation: eventName });
  const asked = { eventSource: detail.eventSource, eventName, requestParameters: { keyId } };
  expect(of({ ...call, detail: asked })).toEqual({ ...ofKey, operation: eventName });
});

test.each<[string, object]>([
  ["another call", { ...call, detail: { ...call.detail, eventName: "Decrypt" } }],
  ["another service's call", { ...call, detail: { ...call.detail, eventSource: "s3.amazonaws.com" } }],
  ["a call that failed", { ...call, detail: { ...call.detail, errorCode: "AccessDenied" } }],
  [
    "a call about an alias",
    {
      ...call,
      detail: { eventSource: "kms.amazonaws.com", eventName: "DisableKey", requestParameters: { keyId: "alias/x" } },
    },
  ],
  ["a key of another account", { ...deleted, account: "999999999999", detail: {} }],
  ["a key of another region", { ...deleted, region: "eu-west-2", detail: {} }],
  ["an invalid key", { ...deleted, resources: ["not a key"], detail: { "key-id": "a b" } }],
  ["an event of KMS from Parameter Store", { ...deleted, source: "aws.ssm" }],
])("does not recognize a key event with %s", (_, event) => {
  expect(of(event)).toEqual(unknown);
});

test("never throws, and returns only valid names of the event's account and region", () => {
  const leaf = fc.oneof(
    fc.string(),
    fc.integer(),
    fc.constant(null),
    fc.constantFrom(...[change, deleted, call].flatMap((event) => Object.values(event).flat())),
  );
  const fields = [...Object.keys(change), "Type", "Message", "__proto__"];
  const hostile = fc.dictionary(fc.constantFrom(...fields), fc.oneof(leaf, fc.array(leaf), fc.object()));
  const mixed = fc
    .tuple(hostile, fc.constantFrom(change, deleted, call))
    .map(([part, event]) => ({ ...event, ...part }));
  const body = fc.oneof(
    fc.string(),
    fc.json(),
    fc.oneof(hostile, mixed).map((event) => JSON.stringify(event)),
  );
  fc.assert(
    fc.property(body, (text) => {
      const notice = parseNotice(text);
      if (notice.kind === "unknown") return;
      expect(notice.account).toMatch(/^[0-9]{12}$/);
      expect(notice.region).toMatch(/^[a-z0-9-]{1,64}$/);
      const name =
        notice.kind === "key"
          ? /^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key\/[a-zA-Z0-9-]+$/
          : /^\/[a-zA-Z0-9_.\-/]+$/;
      expect(notice.name).toMatch(name);
    }),
    { numRuns: 2_000 },
  );
});
