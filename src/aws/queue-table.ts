import { actionOf, type CallContext } from "./failure.ts";
import { type Row, serviceOf, throttled, tryAgain } from "./table.ts";

const queueOf = ({ resource = "the queue" }: CallContext) => resource;

const key = (what: string, next: Row["next"] = "wait"): Row => ({
  reason: "KeyUnavailable",
  next,
  says: (about) => `the KMS key that encrypts ${queueOf(about)} ${what}`,
});

const absent: Row = {
  reason: "QueueNotFound",
  next: "wait",
  // SQS also returns this for an existing queue that the caller may not access.
  says: (about) =>
    `${queueOf(about)} does not exist in ${about.region}, or is not for this caller to see: create it, or correct spec.events.queueUrl`,
};

const notTaken: Row = {
  reason: "InvalidData",
  next: "wait",
  says: (about) => `${serviceOf(about)} takes ${queueOf(about)} for no queue: correct spec.events.queueUrl`,
};

/**
 * SQS-specific errors of ReceiveMessage, DeleteMessageBatch, ChangeMessageVisibilityBatch and ListQueueTags (API
 * Reference). Other errors are in table.ts.
 */
const queueRows: ReadonlyMap<string, Row> = new Map<string, Row>([
  ["QueueDoesNotExist", absent],
  ["NonExistentQueue", absent],
  ["ResourceNotFound", absent],
  ["QueueDeletedRecently", absent],
  ["InvalidAddress", notTaken],
  ["InvalidParameterValue", notTaken],
  ["Validation", notTaken],
  [
    "InvalidSecurity",
    { reason: "NotAllowed", next: "wait", says: (about) => `${queueOf(about)} takes calls over https only` },
  ],
  [
    "UnsupportedOperation",
    {
      reason: "InvalidData",
      next: "wait",
      says: (about) => `${queueOf(about)} does not take ${actionOf(about)}: name a standard queue`,
    },
  ],
  ["RequestThrottled", throttled],
  ["KmsThrottled", throttled],
  [
    "OverLimit",
    {
      reason: "Throttled",
      next: "retry",
      says: (about) =>
        `${queueOf(about)} has as many messages under way as SQS allows: see who else receives from it; ${tryAgain}`,
    },
  ],
  [
    "KmsAccessDenied",
    {
      reason: "AccessDenied",
      next: "wait",
      says: (about) =>
        `${about.caller ?? "the caller"} may not kms:Decrypt on the key that encrypts ${queueOf(about)} in ${about.region}: allow it in the key's policy and the caller's IAM policy`,
    },
  ],
  ["KmsDisabled", key("is disabled: enable it")],
  ["KmsInvalidState", key("cannot be used in its state: it is pending deletion or import; mend the key")],
  ["KmsNotFound", key("does not exist: give the queue another one")],
  ["KmsInvalidKeyUsage", key("is no key for encryption: give the queue another one")],
  ["KmsOptInRequired", key("cannot be used: the account has not opted in to KMS there")],
]);

/**
 * Returns the row of an SQS error by its name in the JSON protocol (`QueueDoesNotExist`, `KmsDisabled`) or the Query
 * protocol (`AWS.SimpleQueueService.NonExistentQueue`, `KMS.DisabledException`), which SQS still sends too.
 */
export function queueRowOf(name: string): Row | undefined {
  const plain = name.replace(/^AWS\.SimpleQueueService\./, "").replace(/^KMS\./, "Kms");
  return queueRows.get(plain) ?? queueRows.get(plain.replace(/Exception$/, ""));
}
