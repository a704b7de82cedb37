import { SQSClient } from "@aws-sdk/client-sqs";
import { expect, test } from "vitest";
import { parseQueueUrl } from "../../../src/aws/events/queue-url.ts";

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

test.each(regions)("accepts the hosts that the SDK uses in %s", (region) => {
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
  ["AWS's oldest host", "https://queue.amazonaws.com/123456789012/keyferry", "us-east-1"],
])("accepts %s", (_, url, region) => {
  expect(parseQueueUrl(url, { region })).toHaveProperty("queue");
});

test.each([
  [
    "text that is not a URL",
    "keyferry",
    /is no URL of a queue: it reads https:\/\/sqs\.eu-west-1\.amazonaws\.com\/123456789012\/keyferry$/,
  ],
  ["a URL of megabytes", `${right}${"x".repeat(3_000_000)}`, /is no URL of a queue/],
  ["an ARN", "arn:aws:sqs:eu-west-1:123456789012:keyferry", /is no URL of a queue/],
  ["a URL with a query", `${right}?Action=SendMessage`, /is no URL of a queue/],
  ["a URL with a user", "https://u:p@sqs.eu-west-1.amazonaws.com/123456789012/keyferry", /is no URL of a queue/],
  ["a URL with a longer path", `${right}/more`, /is no URL of a queue/],
  [
    "a queue of another region",
    "https://sqs.eu-west-2.amazonaws.com/123456789012/keyferry",
    /is no queue of the connection's region/,
  ],
  [
    "a queue of another partition",
    "https://sqs.eu-west-1.amazonaws.com.cn/123456789012/keyferry",
    /is no queue of the connection's/,
  ],
  [
    "a host with the same prefix",
    "https://sqs.eu-west-1.amazonaws.com.evil.example/123456789012/q",
    /is no queue of the/,
  ],
  ["plain http", "http://sqs.eu-west-1.amazonaws.com/123456789012/keyferry", /is no queue of the connection's/],
  ["another port", "https://sqs.eu-west-1.amazonaws.com:444/123456789012/keyferry", /is no queue of the connection's/],
  ["the metadata address", "http://169.254.169.254/123456789012/keyferry", /is no queue of the connection's region/],
  ["an account of 11 digits", "https://sqs.eu-west-1.amazonaws.com/12345678901/keyferry", /no account of 12 digits/],
  ["a FIFO queue", `${right}.fifo`, /is a FIFO queue/],
  ["a name with a dot", `${right}.x`, /has no name of a queue/],
])("refuses %s, with a message that says what is valid", (_, url, problem) => {
  expect(parseQueueUrl(url, { region: "eu-west-1" })).toEqual({ problem: expect.stringMatching(problem) });
});

test("accepts URLs below the connection's endpoint, and AWS's URLs", () => {
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
