import { parseParameterRef } from "./names.ts";

/** The fields of a response that identify the parameter. */
export interface Answered {
  name: string;
  selector?: string | undefined;
  arn: string;
  version: number;
}

/**
 * Reports whether AWS's response is for the requested parameter. Here `x` and `/x` are different names: a response for
 * one is never used for the other.
 *
 * @param asked a name or an ARN, with its selector (`/shop/db:3`), as sent
 */
export function isAnswerTo(asked: string, { name, selector = "", arn, version }: Answered): boolean {
  // An ARN, or version or label of a parameter with the name arn.
  const mayBeArn = asked.startsWith("arn:");
  // The other parameters of the answer, by far the most: before anything is parsed.
  if (!mayBeArn && !asked.startsWith(name)) return false;
  const colon = mayBeArn ? asked.indexOf(":", asked.indexOf(":parameter/") + 1) : asked.indexOf(":");
  const wanted = colon < 0 ? asked : asked.slice(0, colon);
  const wantedSelector = colon < 0 ? "" : asked.slice(colon);
  if (selector !== wantedSelector) return false;
  if (/^:[0-9]+$/.test(wantedSelector) && Number(wantedSelector.slice(1)) !== version) return false;
  if (wanted.startsWith("arn:")) return arn === wanted;
  if (name !== wanted) return false;
  // An ARN of another service belongs to a Secrets Manager secret.
  const parsed = parseParameterRef(arn);
  return !("ref" in parsed) || parsed.ref.name === (wanted.startsWith("/") ? wanted : `/${wanted}`);
}
