/**
 * Returns the user agent of AWS calls, which CloudTrail records: `keyferry/1.2.3 keyferry-cluster/prod-eu`.
 *
 * @param clusterName empty if unset; characters that a product version cannot contain (RFC 9110, section 10.1.5) become
 *   hyphens
 */
export function awsUserAgent(version: string, clusterName: string): string {
  const own = `keyferry/${version}`;
  return clusterName === "" ? own : `${own} keyferry-cluster/${clusterName.replace(/[^a-zA-Z0-9_.+-]/g, "-")}`;
}
