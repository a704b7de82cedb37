/**
 * What calls to AWS are made in the name of, as CloudTrail records it: `keyferry/1.2.3 keyferry-cluster/prod-eu`.
 *
 * @param clusterName empty where the cluster has none; what a product's version cannot hold (RFC 9110, section 10.1.5)
 *   becomes a hyphen
 */
export function awsUserAgent(version: string, clusterName: string): string {
  const own = `keyferry/${version}`;
  return clusterName === "" ? own : `${own} keyferry-cluster/${clusterName.replace(/[^a-zA-Z0-9_.+-]/g, "-")}`;
}
