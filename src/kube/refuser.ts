/** What of the API server, beside RBAC and validation, refused or could not judge a write. */
export interface Refuser {
  /**
   * - `policy`: a ValidatingAdmissionPolicy or MutatingAdmissionPolicy;
   * - `webhook`: an admission webhook that said no;
   * - `silentWebhook`: an admission webhook that could not be asked;
   * - `quota`: a ResourceQuota;
   * - `namespace`: the namespace is being deleted;
   * - `plugin`: another admission plugin.
   */
  by: "policy" | "webhook" | "silentWebhook" | "quota" | "namespace" | "plugin";
  /** Its name, where the server gives one that could be an object's. */
  name?: string;
}

/** Longer messages are read up to here: who refused stands at their beginning. */
const mostRead = 1_024;

/** A name as Kubernetes gives them; nothing else is taken over from a message. */
const name = "[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?";
/** An admission plugin's answer names the object first; validation's begins with the kind and quotes values later. */
const forbidden = /^[a-z0-9./-]{1,253} "[^"\n]{0,253}" is forbidden: /;

/** How each begins, after `RESOURCE "NAME" is forbidden: ` where there is that. */
const beginnings: readonly [RegExp, Refuser["by"]][] = [
  [new RegExp(`^(?:Validating|Mutating)AdmissionPolicy '(${name})' with binding '`), "policy"],
  [new RegExp(`^(?:policy|failed policy:) '(${name})' with binding '`), "policy"],
  [new RegExp(`^admission webhook "(${name})" (?:denied the request|attempted to modify)`), "webhook"],
  [
    new RegExp(`^(?:Internal error occurred: )?(?:failed calling webhook|failed to call webhook) "(${name})"`),
    "silentWebhook",
  ],
  [new RegExp(`^(?:exceeded quota|failed quota|status unknown for quota): (${name})[,:]`), "quota"],
  [/^unable to create new content in namespace /, "namespace"],
];

/**
 * Says which part of the API server's admission chain answered a write, from the message of its Status. Of the text
 * only a name is taken over: a policy's own words may quote a value.
 *
 * @param causes reasons of the Status's causes
 * @returns undefined where it was none: RBAC, validation, or the server itself
 */
export function refuserOf(
  status: number,
  message: string,
  causes: readonly (string | undefined)[],
): Refuser | undefined {
  const text = message.slice(0, mostRead);
  if (status === 403 && causes.includes("NamespaceTerminating")) return { by: "namespace" };
  const prefix = forbidden.exec(text)?.[0] ?? "";
  const rest = text.slice(prefix.length);
  for (const [pattern, by] of beginnings) {
    const found = pattern.exec(rest);
    if (found) return { by, ...(found[1] === undefined ? {} : { name: found[1] }) };
  }
  // RBAC says `User "..." cannot patch resource ...`.
  const isPlugin = status === 403 && prefix !== "" && !/^User "/.test(rest);
  return isPlugin ? { by: "plugin" } : undefined;
}
