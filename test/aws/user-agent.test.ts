import { afterAll, beforeAll, expect, test } from "vitest";
import { awsUserAgent } from "../../src/aws/user-agent.ts";
import { ssmOf } from "../support/permits.ts";
import { AwsServer, rig, specAt } from "./aws-server.ts";

let server: AwsServer;

beforeAll(async () => {
  server = await AwsServer.start();
});
afterAll(() => server.close());

const token = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+(\/[!#$%&'*+.^_`|~0-9A-Za-z-]+)*$/;

test.each([
  ["the cluster name", "prod-eu", "keyferry-cluster/prod-eu"],
  ["a cluster name with invalid characters replaced", "arn:aws:eks/prod=1@x", "keyferry-cluster/arn-aws-eks-prod-1-x"],
  ["no cluster name", "", undefined],
])("the user agent has the version and %s", async (_, clusterName, product) => {
  const { identities } = rig({ userAgent: awsUserAgent("1.2.3", clusterName) });
  server.answerJson({ Parameters: [], InvalidParameters: ["/a"] });
  await ssmOf(identities.get(specAt(server.url))).getParameters(["/a"], { decrypt: false });
  identities.close();
  const agent = String(server.received.at(-1)!.headers["user-agent"]);
  const products = agent.split(" ");
  expect(products).toContain("keyferry/1.2.3");
  const clusters = products.filter((one) => one.startsWith("keyferry-cluster"));
  expect(clusters).toEqual(product ? [product] : []);
  for (const one of clusters) expect(one).toMatch(token);
});
