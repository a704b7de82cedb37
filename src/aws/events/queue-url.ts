/** The parts of a queue URL. */
export interface QueueUrl {
  /** `aws` for every SQS host name of the region, otherwise the endpoint's origin. */
  origin: string;
  /** 12 digits. */
  account: string;
  name: string;
}

/** DNS suffixes of a region's hosts, for IPv4 only and dual-stack (botocore's partitions.json). */
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
 * Parses a queue URL and checks it against its connection. The operator never connects to the URL. The check reports a
 * queue of another region or partition, which would otherwise appear not to exist.
 *
 * @param where.region of the connection
 * @param where.endpoint the connection's endpoints.sqs: the URL may then begin with it, as with an emulator
 * @returns the URL's parts, or a clause that states the expected form
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

/** Returns the DNS suffixes of a region's services. */
export function suffixesOf(region: string): { plain: string; dualStack: string } {
  const [, plain, dualStack] = suffixes.find(([of]) => of.test(region))!;
  return { plain, dualStack };
}

/** Hosts in queue URLs, including the legacy ones from before 2011 (SQS Developer Guide, "Legacy endpoints"). */
function hostsOf(region: string): ReadonlySet<string> {
  const { plain, dualStack } = suffixesOf(region);
  const hosts = new Set([`${region}.queue.${plain}`]);
  for (const service of ["sqs", "sqs-fips"]) {
    for (const suffix of [plain, dualStack]) hosts.add(`${service}.${region}.${suffix}`);
  }
  if (region === "us-east-1") hosts.add("queue.amazonaws.com");
  return hosts;
}
