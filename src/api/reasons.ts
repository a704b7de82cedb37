/** Reasons of the condition Ready, and of events. Part of the API: users' alerts match on them. */
export const reasons = [
  "Synced",
  "Pending",
  "Suspended",
  "ConnectionNotReady",
  "NotAllowed",
  "ParameterNotFound",
  "VersionNotFound",
  "AccessDenied",
  "Throttled",
  "Unreachable",
  "DecryptFailed",
  "KeyUnavailable",
  "EmptyResult",
  "KeyConflict",
  "InvalidData",
  "SecretConflict",
  "TooLarge",
  "SourceGone",
] as const;

export type Reason = (typeof reasons)[number];
