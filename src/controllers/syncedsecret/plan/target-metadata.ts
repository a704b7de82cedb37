import { annotations } from "../../../api/annotations.ts";
import type { SyncedSecret } from "../../../api/types.ts";
import { Failure } from "../../../runtime/failure.ts";

/** Domains whose labels and annotations other programs act on, including subdomains. */
const reserved = ["kubernetes.io", "k8s.io", "argocd.argoproj.io", "sealedsecrets.bitnami.com"];
/** Only describes an application, so it is allowed (kubernetes.io, "Recommended Labels"). */
const descriptive = "app.kubernetes.io";
/** The operator's own domain, which cannot be opened: its annotations decide who owns a Secret. */
const own = annotations.prefix.slice(0, -1);

/** Whether `--allowed-target-metadata` may open a domain. */
export function canBeOpened(domain: string): boolean {
  return !isWithin(domain, own);
}

/**
 * Checks the labels and annotations that a spec gives to its Secret.
 *
 * @param allowed domains that `--allowed-target-metadata` opens, with their subdomains
 * @returns NotAllowed, which names every refused label and annotation; undefined if none is refused
 */
export function refusedTargetMetadata(
  target: SyncedSecret["spec"]["target"],
  allowed: readonly string[],
): Failure | undefined {
  const refused = (field: "labels" | "annotations") =>
    Object.keys(target?.[field] ?? {})
      .filter((name) => isRefused(name, allowed))
      .map((name) => `target.${field}: ${name}`);
  const names = [...refused("labels"), ...refused("annotations")].sort();
  if (names.length === 0) return undefined;
  const message = `other programs act on ${names.join(", ")}: use a domain of your own, or start the operator with --allowed-target-metadata for that domain`;
  return new Failure("NotAllowed", "wait", message);
}

function isRefused(name: string, allowed: readonly string[]): boolean {
  const slash = name.indexOf("/");
  if (slash < 0) return false;
  const domain = name.slice(0, slash).toLowerCase();
  if (isWithin(domain, own)) return true;
  if (domain === descriptive || allowed.some((one) => isWithin(domain, one))) return false;
  return reserved.some((one) => isWithin(domain, one));
}

function isWithin(domain: string, parent: string): boolean {
  return domain === parent || domain.endsWith(`.${parent}`);
}
