/** Reasons of the conditions Ready, EventsReady and KeyAtRisk, and of events. Part of the API: users' alerts match on them. */
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
  "Expired",
  "EmptyResult",
  "KeyConflict",
  "InvalidData",
  "SecretConflict",
  "TooLarge",
  "SourceGone",
  "QueueNotFound",
  "KeyPendingDeletion",
  "KeyDisabled",
  "KeyMaterialExpiring",
  "KeyMaterialMissing",
] as const;

export type Reason = (typeof reasons)[number];
