import { SQSClient } from "@aws-sdk/client-sqs";
import { expect, test } from "vitest";
import { parseQueueUrl } from "../../src/aws/queue-url.ts";

const regions = [
  "eu-west-1",
  "us-gov-west-1",
  "cn-north-1",
  "eusc-de-east-1",
  "us-iso-east-1",
  "us-isob-east-1",
  "eu-isoe-west-1",
  "us-isof-south-1",
];

test.each(regions)("the hosts of %s are those that the SDK calls there", (region) => {
  const { endpointProvider } = new SQSClient({ region }).config as unknown as {
    endpointProvider: (parameters: object) => { url: URL };
  };
  for (const UseFIPS of [false, true]) {
    for (const UseDualStack of [false, true]) {
      const { url } = endpointProvider({ Region: region, UseFIPS, UseDualStack });
      // In GovCloud the plain host is the FIPS one: the SDK gives it for both.
      expect(parseQueueUrl(`${url.origin}/123456789012/keyferry`, { region })).toEqual({
        queue: { origin: "aws", account: "123456789012", name: "keyferry" },
      });
    }
  }
});

const right = "https://sqs.eu-west-1.amazonaws.com/123456789012/keyferry";

test.each([
  ["AWS's legacy host", "https://eu-west-1.queue.amazonaws.com/123456789012/keyferry", "eu-west-1"],
  ["the oldest host of all", "https://queue.amazonaws.com/123456789012/keyferry", "us-east-1"],
])("%s is taken", (_, url, region) => {
  expect(parseQueueUrl(url, { region })).toHaveProperty("queue");
});

test.each([
  [
    "no URL",
    "keyferry",
    /is no URL of a queue: it reads https:\/\/sqs\.eu-west-1\.amazonaws\.com\/123456789012\/keyferry$/,
  ],
  ["a URL of megabytes", `${right}${"x".repeat(3_000_000)}`, /is no URL of a queue/],
  ["an ARN", "arn:aws:sqs:eu-west-1:123456789012:keyferry", /is no URL of a queue/],
  ["one with a query", `${right}?Action=SendMessage`, /is no URL of a queue/],
  ["one with a user", "https://u:p@sqs.eu-west-1.amazonaws.com/123456789012/keyferry", /is no URL of a queue/],
  ["one with a longer path", `${right}/more`, /is no URL of a queue/],
  [
    "another region's",
    "https://sqs.eu-west-2.amazonaws.com/123456789012/keyferry",
    /is no queue of the connection's region/,
  ],
  [
    "another partition's",
    "https://sqs.eu-west-1.amazonaws.com.cn/123456789012/keyferry",
    /is no queue of the connection's/,
  ],
  [
    "a host that only begins so",
    "https://sqs.eu-west-1.amazonaws.com.evil.example/123456789012/q",
    /is no queue of the/,
  ],
  ["plain http", "http://sqs.eu-west-1.amazonaws.com/123456789012/keyferry", /is no queue of the connection's/],
  ["another port", "https://sqs.eu-west-1.amazonaws.com:444/123456789012/keyferry", /is no queue of the connection's/],
  ["metadata's address", "http://169.254.169.254/123456789012/keyferry", /is no queue of the connection's region/],
  ["an account of 11 digits", "https://sqs.eu-west-1.amazonaws.com/12345678901/keyferry", /no account of 12 digits/],
  ["a FIFO queue", `${right}.fifo`, /is a FIFO queue/],
  ["a name with a dot", `${right}.x`, /has no name of a queue/],
])("%s is refused, by a clause that says what would be right", (_, url, problem) => {
  expect(parseQueueUrl(url, { region: "eu-west-1" })).toEqual({ problem: expect.stringMatching(problem) });
});

test("with an endpoint of its own, a connection takes URLs that begin with it, and AWS's", () => {
  const where = { region: "eu-west-1", endpoint: "http://127.0.0.1:4566/" };
  expect(parseQueueUrl("http://127.0.0.1:4566/123456789012/q", where)).toHaveProperty(
    "queue.origin",
    "http://127.0.0.1:4566",
  );
  expect(parseQueueUrl(right, where)).toHaveProperty("queue");
  expect(parseQueueUrl("http://127.0.0.1:4567/123456789012/q", where)).toEqual({
    problem: expect.stringContaining("or begins with endpoints.sqs"),
  });
});
