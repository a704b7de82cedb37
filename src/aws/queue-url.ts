/** What a queue's URL tells. */
export interface QueueUrl {
  /** `aws` for every host by which AWS's own SQS of the region is named, else the endpoint's origin. */
  origin: string;
  /** 12 digits. */
  account: string;
  name: string;
}

/** How the hosts of a region end, where they have IPv4 only and where they have both (botocore's partitions.json). */
const suffixes: readonly (readonly [region: RegExp, plain: string, dualStack: string])[] = [
  [/^cn-/, "amazonaws.com.cn", "api.amazonwebservices.com.cn"],
  [/^eusc-/, "amazonaws.eu", "api.amazonwebservices.eu"],
  [/^us-iso-/, "c2s.ic.gov", "api.aws.ic.gov"],
  [/^us-isob-/, "sc2s.sgov.gov", "api.aws.scloud"],
  [/^eu-isoe-/, "cloud.adc-e.uk", "api.cloud-aws.adc-e.uk"],
  [/^us-isof-/, "csp.hci.ic.gov", "api.aws.hci.ic.gov"],
  [/^/, "amazonaws.com", "api.aws"],
];

/**
 * Reads a queue's URL and holds it against the connection that names it. The URL is never connected to, but a queue of
 * another region or partition would be asked for in the wrong place, and be found absent for no reason that shows.
 *
 * @param where.region of the connection
 * @param where.endpoint the connection's endpoints.sqs: the URL may then begin with it, as an emulator's do
 * @returns the URL's parts, or a clause that says what would be right
 */
export function parseQueueUrl(
  text: string,
  where: { region: string; endpoint?: string | undefined },
): { queue: QueueUrl } | { problem: string } {
  const { region, endpoint } = where;
  const url = text.length <= 2_048 ? URL.parse(text) : null;
  const example = `https://sqs.${region}.${suffixesOf(region).plain}/123456789012/keyferry`;
  const path = url ? /^\/([^/]*)\/([^/]*)$/.exec(url.pathname) : null;
  if (!url || !path || url.username || url.password || url.search || url.hash) {
    return { problem: `is no URL of a queue: it reads ${example}` };
  }
  const isOurs = endpoint !== undefined && url.origin === URL.parse(endpoint)?.origin;
  const isAws = url.protocol === "https:" && url.port === "" && hostsOf(region).has(url.hostname);
  if (!isOurs && !isAws) {
    const or = endpoint === undefined ? "" : ", or begins with endpoints.sqs";
    return { problem: `is no queue of the connection's region ${region}: its URL reads ${example}${or}` };
  }
  const [, account = "", name = ""] = path;
  if (!/^[0-9]{12}$/.test(account)) return { problem: `has no account of 12 digits in it: it reads ${example}` };
  if (name.endsWith(".fifo")) {
    return {
      problem: "is a FIFO queue, which a rule's events reach one by one behind each other: name a standard queue",
    };
  }
  if (!/^[a-zA-Z0-9_-]{1,80}$/.test(name)) return { problem: `has no name of a queue in it: it reads ${example}` };
  return { queue: { origin: isAws ? "aws" : url.origin, account, name } };
}

/** How the hosts of a region's services end. */
export function suffixesOf(region: string): { plain: string; dualStack: string } {
  const [, plain, dualStack] = suffixes.find(([of]) => of.test(region))!;
  return { plain, dualStack };
}

/** Hosts that stand in queues' URLs, those of the years before 2011 too (SQS Developer Guide, "Legacy endpoints"). */
function hostsOf(region: string): ReadonlySet<string> {
  const { plain, dualStack } = suffixesOf(region);
  const hosts = new Set([`${region}.queue.${plain}`]);
  for (const service of ["sqs", "sqs-fips"]) {
    for (const suffix of [plain, dualStack]) hosts.add(`${service}.${region}.${suffix}`);
  }
  if (region === "us-east-1") hosts.add("queue.amazonaws.com");
  return hosts;
}
