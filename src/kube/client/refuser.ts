/** The part of the API server's admission chain that refused a write or failed; not RBAC or validation. */
export interface Refuser {
  /**
   * - `policy`: a ValidatingAdmissionPolicy or MutatingAdmissionPolicy;
   * - `webhook`: an admission webhook denied the request;
   * - `silentWebhook`: an admission webhook could not be called;
   * - `quota`: a ResourceQuota;
   * - `namespace`: the namespace is being deleted;
   * - `plugin`: another admission plugin.
   */
  by: "policy" | "webhook" | "silentWebhook" | "quota" | "namespace" | "plugin";
  /** The name of the policy, webhook or quota, if the message has a valid one. */
  name?: string;
}

/** Maximum characters that are parsed: the refuser is named at the beginning of a message. */
const maxLength = 1_024;

/** A valid Kubernetes name. No other text is extracted from a message. */
const name = "[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?";
/**
 * The prefix of an admission plugin's message. A validation message begins with the kind instead, and may quote values.
 */
const forbidden = /^[a-z0-9./-]{1,253} "[^"\n]{0,253}" is forbidden: /;

/** How each message begins, after the optional prefix `RESOURCE "NAME" is forbidden: `. */
const patterns: readonly [RegExp, Refuser["by"]][] = [
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
 * Determines the refuser from the message of a Status. Only a name is extracted: a policy's own message may quote a
 * value.
 *
 * @param causes the reasons of the Status's causes
 * @returns undefined if the admission chain did not refuse: RBAC, validation, or the server itself
 */
export function refuserOf(
  status: number,
  message: string,
  causes: readonly (string | undefined)[],
): Refuser | undefined {
  const text = message.slice(0, maxLength);
  if (status === 403 && causes.includes("NamespaceTerminating")) return { by: "namespace" };
  const prefix = forbidden.exec(text)?.[0] ?? "";
  const rest = text.slice(prefix.length);
  for (const [pattern, by] of patterns) {
    const found = pattern.exec(rest);
    if (found) return { by, ...(found[1] === undefined ? {} : { name: found[1] }) };
  }
  // An RBAC message is `User "..." cannot patch resource ...`.
  const isPlugin = status === 403 && prefix !== "" && !/^User "/.test(rest);
  return isPlugin ? { by: "plugin" } : undefined;
}
