import { describe, expect, it } from "vitest";
import { errorOfAnswer } from "../../../src/kube/errors.ts";

const answer = (code: number, message: string, more: object = {}) =>
  errorOfAnswer("PATCH secrets shop/x", code, undefined, { kind: "Status", status: "Failure", message, code, ...more });

describe("the refuser of a write", () => {
  it.each([
    [
      422,
      `secrets "x" is forbidden: ValidatingAdmissionPolicy 'team' with binding 'b' denied request: no`,
      "policy",
      "team",
    ],
    [
      403,
      `secrets "x" is forbidden: MutatingAdmissionPolicy 'm.x' with binding 'b' denied request: no`,
      "policy",
      "m.x",
    ],
    [400, 'admission webhook "hook.example.com" denied the request: no', "webhook", "hook.example.com"],
    [403, 'admission webhook "hook.example.com" denied the request without explanation', "webhook", "hook.example.com"],
    [500, 'admission webhook "hook.example.com" denied the request: no', "webhook", "hook.example.com"],
    [403, 'secrets "x" is forbidden: exceeded quota: q1, requested: count/secrets=1, used: 1', "quota", "q1"],
    [403, 'secrets "x" is forbidden: [minimum of something]', "plugin", undefined],
    [403, 'secrets "x" is forbidden: unable to create new content in namespace n because it', "namespace", undefined],
  ])("is parsed from %i %s", (code, message, by, name) => {
    const error = answer(code, message, { reason: code === 422 ? "Invalid" : "Forbidden" });
    expect(error.kind).toBe("denied");
    expect(error.refuser).toEqual({ by, ...(name === undefined ? {} : { name }) });
  });

  it("is named for an unreachable webhook, which is unavailable and not denied", () => {
    const text = 'Internal error occurred: failed calling webhook "hook.example.com": failed to call webhook: Post';
    const error = answer(500, text, { reason: "InternalError" });
    expect(error).toMatchObject({ kind: "unavailable", refuser: { by: "silentWebhook", name: "hook.example.com" } });
  });

  it.each([
    [403, 'secrets "x" is forbidden: User "system:serviceaccount:a:b" cannot patch resource "secrets"', "forbidden"],
    [422, `Secret "x" is invalid: data[a]: Invalid value: "ValidatingAdmissionPolicy 'x' with binding 'y'"`, "invalid"],
    [422, `Secret "x" is invalid: a: "s" is forbidden: ValidatingAdmissionPolicy 'x' with binding 'y'`, "invalid"],
    [403, 'secrets "x" is forbidden: exceeded quota: CANARY value, requested', "denied"],
    [400, 'admission webhook "CANARY value" denied the request', "badRequest"],
  ])("has no name if the text is not a valid name: %i %s", (code, message, kind) => {
    const error = answer(code, message);
    expect(error.kind).toBe(kind);
    expect(error.refuser?.name).toBeUndefined();
  });

  it.each([
    "etcdserver: request is too large",
    "rpc error: code = ResourceExhausted desc = trying to send message larger than max (2378515 vs. 2097152)",
  ])("is not set for etcd's size limit, which is tooLarge: %s", (message) => {
    expect(answer(500, message).kind).toBe("tooLarge");
  });
});
