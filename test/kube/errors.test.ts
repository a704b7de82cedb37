import { inspect } from "node:util";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { errorOfAnswer, errorOfConnection, isRetryable, KubeError, type KubeErrorKind } from "../../src/kube/errors.ts";
import { status } from "../support/scripted-server.ts";

const request = "PATCH secrets shop/checkout";

describe("an error status", () => {
  test.each<[string, number, string | undefined, KubeErrorKind, boolean]>([
    ["a missing object", 404, "NotFound", "notFound", false],
    ["an existing name", 409, "AlreadyExists", "alreadyExists", false],
    ["a version conflict", 409, "Conflict", "conflict", false],
    ["a violated rule", 422, "Invalid", "invalid", false],
    ["a missing permission", 403, "Forbidden", "forbidden", false],
    ["unknown credentials", 401, "Unauthorized", "unauthorized", false],
    ["too many requests", 429, "TooManyRequests", "tooManyRequests", true],
    ["an expired version", 410, "Expired", "gone", false],
    ["an expired page", 410, "Gone", "gone", false],
    ["a body that is too large", 413, "RequestEntityTooLarge", "tooLarge", false],
    ["a malformed request", 400, "BadRequest", "badRequest", false],
    ["a server timeout", 504, "Timeout", "timeout", true],
    ["a server error", 500, "InternalError", "unavailable", true],
    ["a server that is not ready", 503, "ServiceUnavailable", "unavailable", true],
    ["a proxy without a server", 502, undefined, "unavailable", true],
    ["a redirect", 302, undefined, "other", false],
  ])("is classified: %s", (_, code, reason, kind, retryable) => {
    const body = reason === undefined ? undefined : status(code, reason);
    const error = errorOfAnswer(request, code, undefined, body);
    expect(error).toMatchObject({
      kind,
      status: code,
      reason,
      message: `${request}: ${code}${reason ? ` ${reason}` : ""}`,
    });
    expect(isRetryable(error)).toBe(retryable);
  });

  test("for a field manager conflict names each field and its owner", () => {
    const causes = [
      { reason: "FieldManagerConflict", message: 'conflict with "kubectl-edit" using v1', field: ".data.a" },
      {
        reason: "FieldManagerConflict",
        message: 'conflict with "x" with subresource "status" using v1 at 2026-01-01T00:00:00Z',
        field: ".data.b",
      },
      { reason: "FieldManagerConflict", message: "something new", field: ".data.c" },
    ];
    const error = errorOfAnswer(request, 409, undefined, status(409, "Conflict", { causes }));
    expect(error.kind).toBe("fieldManagerConflict");
    expect(error.conflicts).toEqual([
      { manager: "kubectl-edit", field: ".data.a" },
      { manager: "x", field: ".data.b" },
      { manager: "another field manager", field: ".data.c" },
    ]);
  });

  test.each<[string, unknown, unknown, number | undefined]>([
    ["nothing", undefined, {}, undefined],
    ["seconds in the header", "7", {}, 7_000],
    ["seconds in the body", undefined, { details: { retryAfterSeconds: 3 } }, 3_000],
    ["both, of which the header applies", "7", { details: { retryAfterSeconds: 3 } }, 7_000],
    ["a date, which the API server never sends", "Wed, 21 Oct 2026 07:28:00 GMT", {}, undefined],
    ["zero seconds", "0", {}, undefined],
    ["a wait of years, which is limited to an hour", "999999999", {}, 3_600_000],
    ["two headers", ["1", "2"], {}, undefined],
    ["a text that is not an integer", "1e9", { details: { retryAfterSeconds: Number.NaN } }, undefined],
  ])("has Retry-After from %s", (_, header, body, expected) => {
    expect(errorOfAnswer(request, 429, header, body).retryAfterMs).toBe(expected);
  });

  test("contains no text of the body except reasons, fields and managers", () => {
    const canary = "canary-7f3a";
    const body = {
      ...status(422, "Invalid", {
        message: `Secret is invalid: data[a]: Invalid value: "${canary}"`,
        causes: [{ reason: "FieldValueInvalid", message: `Invalid value: "${canary}"`, field: "data[a]" }],
      }),
      extra: canary,
    };
    const error = errorOfAnswer(request, 422, undefined, body);
    expect(error.causes).toEqual([{ reason: "FieldValueInvalid", field: "data[a]" }]);
    expect(inspect(error, { depth: 9 }) + JSON.stringify(error) + error.message + error.stack).not.toContain(canary);
  });

  test("is bounded and never throws, for any body", () => {
    const hostile = fc.oneof(
      fc.jsonValue(),
      fc.record(
        { reason: fc.anything(), details: fc.record({ causes: fc.anything(), retryAfterSeconds: fc.anything() }) },
        { requiredKeys: [] },
      ),
    );
    fc.assert(
      fc.property(fc.integer({ min: 300, max: 599 }), hostile, (code, body) => {
        const error = errorOfAnswer(request, code, undefined, body);
        expect(error).toBeInstanceOf(KubeError);
        expect(error.message).toMatch(/^PATCH secrets shop\/checkout: \d{3}( [A-Za-z]{1,64})?$/);
      }),
    );
    const causes = Array.from({ length: 5_000 }, () => ({ reason: "x".repeat(9_999), field: "y".repeat(9_999) }));
    const error = errorOfAnswer(request, 422, undefined, status(422, "Invalid", { causes }));
    expect(error.causes).toHaveLength(100);
    expect(error.causes[0]?.field).toHaveLength(512);
  });
});

describe("a failed connection", () => {
  test.each<[string, unknown, string | undefined]>([
    ["its own code", Object.assign(new Error("x"), { code: "ECONNREFUSED" }), "ECONNREFUSED"],
    ["the socket's code inside undici's", { code: "UND_ERR_SOCKET", cause: { code: "ECONNRESET" } }, "ECONNRESET"],
    [
      "the first of several addresses",
      { errors: [{ code: "ECONNREFUSED" }, { code: "EHOSTUNREACH" }] },
      "ECONNREFUSED",
    ],
    ["no invalid code", { code: "canary value" }, undefined],
    ["no code of an undefined error", undefined, undefined],
  ])("is reported with %s", (_, cause, code) => {
    const error = errorOfConnection(request, cause);
    expect(error).toMatchObject({
      kind: "network",
      code,
      status: undefined,
      message: `${request}: ${code ?? "no answer"}`,
    });
    expect(isRetryable(error)).toBe(true);
  });

  test("does not contain the bytes of a parser error", () => {
    const cause = Object.assign(new Error("canary"), { code: "HPE_INVALID_CONSTANT", data: "canary" });
    expect(inspect(errorOfConnection(request, cause), { depth: 9, showHidden: true })).not.toContain("canary");
  });

  test("is not retryable for an unknown error", () => {
    expect(isRetryable(new Error("x"))).toBe(false);
  });
});
