import type { AnyConnection } from "../api/any-connection.ts";
import type { ClusterAWSConnection } from "../api/types.ts";
import type { IdentitySpec } from "../aws/identity-spec.ts";

/** The endpoints for a region. An endpoint without `{region}` applies to the connection's own region only. */
export function endpointsOf(
  endpoints: NonNullable<ClusterAWSConnection["spec"]["endpoints"]> | undefined,
  region: string,
  isHome: boolean,
): Pick<IdentitySpec, "endpoints"> {
  const urls = Object.entries(endpoints ?? {}).filter(([, url]) => isHome || url.includes("{region}"));
  if (urls.length === 0) return {};
  return { endpoints: Object.fromEntries(urls.map(([service, url]) => [service, endpointIn(url, region)])) };
}

/** The connection's SQS endpoint in its own region, if its spec sets one. */
export function sqsEndpoint({ kind, spec }: AnyConnection): string | undefined {
  const { endpoints } = kind === "ClusterAWSConnection" ? (spec as ClusterAWSConnection["spec"]) : {};
  return endpoints?.sqs === undefined ? undefined : endpointIn(endpoints.sqs, spec.region);
}

function endpointIn(url: string, region: string): string {
  return url.replaceAll("{region}", region);
}
