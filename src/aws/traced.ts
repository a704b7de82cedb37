import { type Span, type SpanAttributes, traced } from "../runtime/tracing.ts";
import type { Identity } from "./identity.ts";
import type { KmsPort } from "./kms.ts";

/** Attributes of the span of a call to AWS: where it is made, by OpenTelemetry's semantic conventions. */
export function callAttributes({ region, account, lastCaller }: Identity): SpanAttributes {
  return { "cloud.region": region, "cloud.account.id": account ?? lastCaller?.account };
}

/** KMS calls of an identity, each a step of `span`. A call begins when it has a permit. */
export function tracedKms(identity: Identity, span: Span): KmsPort {
  const { kms } = identity;
  const about = callAttributes(identity);
  return {
    decrypt: (permit, request) => traced(span, "kms Decrypt", about, () => kms.decrypt(permit, request)),
    describeKey: (permit, keyId, signal) =>
      traced(span, "kms DescribeKey", about, () => kms.describeKey(permit, keyId, signal)),
  };
}
