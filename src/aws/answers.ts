import { parseParameterRef } from "./names.ts";

/** What says which parameter an answer of AWS is about. */
export interface Answered {
  name: string;
  selector?: string | undefined;
  arn: string;
  version: number;
}

/**
 * Whether AWS's answer is about what was asked for. `x` and `/x` are two names here: what AWS keeps under the one is
 * never taken for the other.
 *
 * @param asked a name or an ARN, with its selector (`/shop/db:3`), as it was sent
 */
export function isAnswerTo(asked: string, { name, selector = "", arn, version }: Answered): boolean {
  const colon = asked.startsWith("arn:") ? asked.indexOf(":", asked.indexOf(":parameter/") + 1) : asked.indexOf(":");
  const wanted = colon < 0 ? asked : asked.slice(0, colon);
  const wantedSelector = colon < 0 ? "" : asked.slice(colon);
  if (selector !== wantedSelector) return false;
  if (/^:[0-9]+$/.test(wantedSelector) && Number(wantedSelector.slice(1)) !== version) return false;
  if (wanted.startsWith("arn:")) return arn === wanted;
  if (name !== wanted) return false;
  // An ARN of another service is that of a secret of Secrets Manager.
  const parsed = parseParameterRef(arn);
  return !("ref" in parsed) || parsed.ref.name === (wanted.startsWith("/") ? wanted : `/${wanted}`);
}
