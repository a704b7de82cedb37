import type { Refuser } from "../../../kube/client/refuser.ts";
import { KubeError } from "../../../kube/errors.ts";
import { Failure } from "../../../runtime/failure.ts";
import { terminating } from "../decide/admission.ts";

/**
 * The failure of a write that the API server has rejected.
 *
 * @param what the object of the write: `Secret shop/checkout`
 * @param size the object's size, for the message if it is too large
 */
export function writeFailure(error: unknown, what: string, size = ""): Failure {
  if (!(error instanceof KubeError)) throw error;
  if (error.refuser) return refusal(error.refuser, what);
  if (error.kind === "tooLarge" || error.causes.some(({ reason }) => reason === "FieldValueTooLong")) {
    return new Failure(
      "TooLarge",
      "wait",
      `${what} is too large for the API server${size}: split it into more Secrets, or use fewer and shorter keys and annotations`,
    );
  }
  if (error.kind === "invalid") return invalid(error, what);
  if (error.kind === "forbidden") {
    return new Failure("AccessDenied", "wait", `the operator may not write ${what}: its Role must allow it`);
  }
  // An apply that creates returns NotFound only if the namespace does not exist.
  if (error.kind === "notFound") return refusal({ by: "namespace" }, what);
  return new Failure("Unreachable", "retry", `the API server did not accept ${what}, retrying`, error.retryAfterMs);
}

function refusal({ by, name }: Refuser, what: string): Failure {
  const named = name === undefined ? "" : ` ${name}`;
  switch (by) {
    case "namespace":
      return terminating(what);
    case "quota":
      return new Failure(
        "AccessDenied",
        "refused",
        `ResourceQuota${named} leaves no room for ${what}: raise the quota, or delete objects that are not needed; retrying`,
      );
    case "silentWebhook":
      return new Failure(
        "Unreachable",
        "refused",
        `the API server cannot reach the admission webhook${named} and therefore rejects ${what}: repair the webhook; retrying`,
      );
    default: {
      const whom = { policy: "admission policy", webhook: "admission webhook", plugin: "an admission plugin" }[by];
      return new Failure(
        "AccessDenied",
        "refused",
        `${whom}${named} refuses ${what}: change the policy, or set what it requires in spec.target; retrying`,
      );
    }
  }
}

function invalid(error: KubeError, what: string): Failure {
  const fields = error.causes.map(({ field }) => field ?? "");
  if (fields.includes("type")) {
    const message = `${what}: the type of a Secret cannot be changed: set a new target.name`;
    return new Failure("SecretConflict", "stalled", message);
  }
  if (fields.some((field) => field === "immutable" || field === "data")) {
    const message = `${what} is immutable, or its data does not fit its type: set a new target.name, or supply the keys that the type requires`;
    return new Failure("SecretConflict", "stalled", message);
  }
  const named = fields.filter((field) => /^[\w.[\]-]{1,253}$/.test(field));
  const which = named.length > 0 ? ` because of ${[...new Set(named)].sort().join(", ")}` : "";
  return new Failure(
    "InvalidData",
    "stalled",
    `the API server refuses ${what}${which}: supply the keys that its type requires, in the required format`,
  );
}
