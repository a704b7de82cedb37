import { describe } from "vitest";
import { partitionOf } from "../../src/aws/names.ts";
import { sharedCluster } from "../cluster/shared.ts";
import { dryRunner } from "./dry-run.ts";
import { allowing, clusterConnection, connection } from "./manifests.ts";
import { refuses, takes } from "./verdicts.ts";

const dryRun = dryRunner(await sharedCluster());

const regions = ["eu-west-1", "us-gov-west-1", "cn-north-1", "us-isob-east-1", "eusc-de-east-1", "ap-southeast-10"];
const noRegions = ["", "eu-west", "EU-WEST-1", "eu-west-1a", "eu_west_1", "eu-west-1.evil.example", "eu-west-1 "];
const key = "arn:aws:kms:eu-west-1:123456789012:key/0a1b-2c";
const arn = "arn:aws:ssm:eu-west-1:123456789012:parameter";

const patterns = [
  "/{namespace}/*",
  "/shared/*",
  "/shop/db",
  "db",
  "/shop/db-*",
  "/*",
  "*",
  "/a/{namespace}/b/{namespace}",
];
const arnPatterns = [`${arn}/shop/*`, `${arn}/{namespace}/*`, `${arn}/db`, `${arn.replace("aws", "aws-us-gov")}/x`];
const badPatterns: Record<string, [pattern: string, says: string]> = {
  "an empty entry": ["", "must not have an empty entry"],
  "a space": ["/sh op/*", "remove the space"],
  "..": ["/shop/../*", "must not have .. or //"],
  "//": ["/shop//*", "must not have .. or //"],
  "a star in the middle": ["/*/db", "only at the end"],
  "two stars": ["/shop/**", "only at the end"],
  "{namespace} after a prefix": ["/team-{namespace}/*", "{namespace} must be a whole level between slashes"],
  "{namespace} before a suffix": ["/{namespace}-x/*", "{namespace} must be a whole level between slashes"],
  "{namespace} before a star": ["/{namespace}*", "{namespace} must be a whole level between slashes"],
  "{namespace} twice in a level": ["/{namespace}{namespace}/*", "{namespace} must be a whole level"],
  "another placeholder": ["/{name}/*", "the only placeholder is {namespace}"],
  "half a placeholder": ["/{namespace/*", "the only placeholder is {namespace}"],
  "a selector": ["/shop/db:3", "allow.parameters must have names of letters"],
  "an ARN of another service": ["arn:aws:s3:eu-west-1:123456789012:parameter/x", "or ARNs of parameters such as"],
  "an ARN of any account": ["arn:aws:ssm:eu-west-1:*", "or ARNs of parameters such as"],
  "a path without a leading slash": ["shop/*", "must begin with /"],
};

describe("an AWSConnection", () => {
  takes(dryRun, {
    "a region and a Secret": connection({}),
    "binding to namespaces": connection({ binding: { scope: "Namespace" } }),
    "binding to names, with unbound ciphertexts allowed": connection({
      binding: { scope: "Name", allowUnbound: true },
    }),
    "messages that name their keys": connection({ allow: { discovery: { accounts: [] } } }),
    "messages that name keys of two accounts": connection({
      allow: { discovery: { accounts: ["123456789012", "999999999999"], partition: "aws-cn" } },
    }),
    "allowed names and keys": connection({ allow: { parameters: ["/shop/*"], keyIds: [key] } }),
    ...Object.fromEntries(regions.map((region) => [`the region ${region}`, connection({ region })])),
  });
  refuses(dryRun, {
    "an invalid account": [
      connection({ allow: { discovery: { accounts: ["1234"] } } }),
      "allow.discovery.accounts must have AWS accounts as 12 digits",
    ],
    "a discovery without accounts": [
      connection({ allow: { discovery: {} } }),
      "allow.discovery.accounts",
      "Required value",
    ],
    "an unknown partition": [
      connection({ allow: { discovery: { accounts: [], partition: "azure" } } }),
      'supported values: "aws"',
    ],
    "no auth": [
      connection({ auth: undefined }),
      "spec.auth needs serviceAccountRef or secretRef",
      "never uses the operator's own",
    ],
    "an auth without secretRef and serviceAccountRef": [
      connection({ auth: {} }),
      "spec.auth needs serviceAccountRef or secretRef",
    ],
    "a Secret and a ServiceAccount": [
      connection({ auth: { secretRef: { name: "aws" }, serviceAccountRef: { name: "checkout" } } }),
      "spec.auth needs one of serviceAccountRef and secretRef",
    ],
    "a ServiceAccount of another namespace": [
      connection({ auth: { serviceAccountRef: { name: "checkout", namespace: "other" } } }),
      "unknown field",
      "spec.auth.serviceAccountRef.namespace",
    ],
    "an invalid name of a ServiceAccount": [
      connection({ auth: { serviceAccountRef: { name: "a/b" } } }),
      "auth.serviceAccountRef.name must be",
    ],
    "a ServiceAccount without name": [connection({ auth: { serviceAccountRef: {} } }), "name", "Required value"],
    "an invalid namespace of a ServiceAccount": [
      clusterConnection({ auth: { serviceAccountRef: { name: "checkout", namespace: "a.b" } } }),
      "auth.serviceAccountRef.namespace must be",
    ],
    "roles of a queue, with the ServiceAccount of one namespace": [
      clusterConnection({
        auth: { serviceAccountRef: { name: "checkout", namespace: "shop" } },
        events: {
          queueUrl: "https://sqs.eu-west-1.amazonaws.com/123456789012/q",
          auth: { assumeRole: [{ roleArn: "arn:aws:iam::123456789012:role/queue" }] },
        },
      }),
      "spec.events.auth is only for connections",
    ],
    "a Secret of another namespace": [
      connection({ auth: { secretRef: { name: "aws", namespace: "other" } } }),
      "unknown field",
      "spec.auth.secretRef.namespace",
    ],
    "an invalid name of a Secret": [
      connection({ auth: { secretRef: { name: "a/b" } } }),
      "auth.secretRef.name must be",
    ],
    "no region": [connection({ region: undefined }), "spec.region", "Required value"],
    "a choice of namespaces": [connection({ allow: { namespaces: { names: ["x"] } } }), "unknown field"],
    "its own endpoints": [connection({ endpoints: { ssm: "https://localhost" } }), "unknown field", "spec.endpoints"],
    ...Object.fromEntries(
      noRegions.map((region) => [
        `the region ${JSON.stringify(region)}`,
        [connection({ region }), "region must be the code of an AWS region, such as eu-west-1"] as const,
      ]),
    ),
  });
});

const role = "arn:aws:iam::123456789012:role";
/** Either kind's auth with these roles. */
const assuming = (...roles: object[]) => ({ secretRef: { name: "aws" }, assumeRole: roles });
const one = (more: object) => connection({ auth: assuming({ roleArn: `${role}/reader`, ...more }) });
const tooMany = Array.from({ length: 6 }, () => ({ roleArn: `${role}/reader` }));
const roleArns = [
  `${role}/reader`,
  `${role}/path/to/tenant-{namespace}`,
  `${role}/{namespace}`,
  `${role.replace("aws", "aws-us-gov")}/x`,
  `${role.replace("aws", "aws-cn")}/a+b=c,d.e@f_g-h`,
];
const badRoleArns: Record<string, [arn: string, says: string]> = {
  "a role's name": ["reader", "auth.assumeRole.roleArn must be the ARN of a role"],
  "a user's ARN": ["arn:aws:iam::123456789012:user/x", "auth.assumeRole.roleArn must be the ARN of a role"],
  "a session's ARN": [
    "arn:aws:sts::123456789012:assumed-role/x/y",
    "auth.assumeRole.roleArn must be the ARN of a role",
  ],
  "a role of the namespace's account": ["arn:aws:iam::{namespace}:role/x", "with the account in digits"],
  "another placeholder": [`${role}/{name}`, "auth.assumeRole.roleArn: the only placeholder is {namespace}"],
};

describe("roles to assume", () => {
  takes(dryRun, {
    "one role by the operator's own identity": clusterConnection({
      auth: { assumeRole: [{ roleArn: `${role}/reader` }] },
    }),
    "two roles with every field": connection({
      auth: assuming(
        { roleArn: `${role}/hub`, externalId: "ab:1/2", sourceIdentity: "a@b", duration: "15m" },
        {
          roleArn: `${role}/tenant`,
          sessionTags: { "my team": "größe {namespace}" },
          sourceIdentity: "a@b",
          duration: "1h",
        },
      ),
    }),
    "a long session of one role": one({ duration: "12h" }),
    "a transitive tag": one({ sessionTags: { team: "a", stage: "b" }, transitiveTagKeys: ["team"] }),
    "the role of a ServiceAccount": connection({ auth: { serviceAccountRef: { name: "checkout.v2" } } }),
    "the role of a ServiceAccount, and another": connection({
      auth: { serviceAccountRef: { name: "checkout" }, assumeRole: [{ roleArn: `${role}/reader` }] },
    }),
    "the role of one namespace's ServiceAccount": clusterConnection({
      auth: { serviceAccountRef: { name: "checkout", namespace: "shop" } },
    }),
    "roles of a queue, with a ServiceAccount in each namespace": clusterConnection({
      auth: { serviceAccountRef: { name: "checkout" } },
      events: {
        queueUrl: "https://sqs.eu-west-1.amazonaws.com/123456789012/q",
        auth: { assumeRole: [{ roleArn: `${role}/queue` }] },
      },
    }),
    ...Object.fromEntries(
      roleArns.map((roleArn) => [`the role ${roleArn}`, clusterConnection({ auth: { assumeRole: [{ roleArn }] } })]),
    ),
    "roles of a queue, with one identity per namespace": clusterConnection({
      auth: { assumeRole: [{ roleArn: `${role}/{namespace}` }] },
      events: {
        queueUrl: "https://sqs.eu-west-1.amazonaws.com/123456789012/q",
        auth: { assumeRole: [{ roleArn: `${role}/queue` }] },
      },
    }),
  });
  refuses(dryRun, {
    "roles without a Secret in an AWSConnection": [
      connection({ auth: { assumeRole: [{ roleArn: `${role}/reader` }] } }),
      "spec.auth needs serviceAccountRef or secretRef",
    ],
    "an empty auth": [clusterConnection({ auth: {} }), "spec.auth needs serviceAccountRef, secretRef or assumeRole"],
    "a transitive tag that is not set": [
      one({ sessionTags: { team: "a" }, transitiveTagKeys: ["stage"] }),
      "auth.assumeRole.transitiveTagKeys: each must be the name of one of the role's own sessionTags",
    ],
    "transitive tags without tags": [one({ transitiveTagKeys: ["team"] }), "auth.assumeRole.transitiveTagKeys: each"],
    "a transitive tag twice": [
      one({ sessionTags: { team: "a" }, transitiveTagKeys: ["team", "team"] }),
      "Duplicate value",
    ],
    "an empty list of roles": [connection({ auth: assuming() }), "should have at least 1 items"],
    "six roles": [connection({ auth: assuming(...tooMany) }), "must have at most 5 items"],
    "a role without ARN": [connection({ auth: assuming({}) }), "roleArn", "Required value"],
    ...Object.fromEntries(
      Object.entries(badRoleArns).map(([what, [roleArn, says]]) => [
        what,
        [clusterConnection({ auth: { assumeRole: [{ roleArn }] } }), says] as const,
      ]),
    ),
    "an external id of one character": [one({ externalId: "x" }), "externalId", "at least 2 chars long"],
    "an external id with a space": [one({ externalId: "a b" }), "auth.assumeRole.externalId must be letters"],
    "a tag with the reserved prefix aws:": [one({ sessionTags: { "AWS:x": "y" } }), "not begin with aws:"],
    "an invalid tag name": [one({ sessionTags: { "a*": "y" } }), "auth.assumeRole.sessionTags: each name must be"],
    "an invalid tag value": [one({ sessionTags: { a: "b*" } }), "auth.assumeRole.sessionTags: each value must be"],
    "another placeholder in a tag": [
      one({ sessionTags: { a: "{name}" } }),
      "sessionTags: the only placeholder is {namespace}",
    ],
    "another placeholder in a source identity": [
      one({ sourceIdentity: "{name}" }),
      "sourceIdentity: the only placeholder is",
    ],
    "a source identity with a space": [
      one({ sourceIdentity: "a b" }),
      "auth.assumeRole.sourceIdentity must be letters",
    ],
    "two source identities": [
      connection({
        auth: assuming({ roleArn: `${role}/a`, sourceIdentity: "ab" }, { roleArn: `${role}/b`, sourceIdentity: "bc" }),
      }),
      "sourceIdentity must be the same in all roles that have one",
    ],
    "a session that is too short": [
      one({ duration: "14m59s" }),
      "auth.assumeRole.duration must be between 15m and 12h",
    ],
    "a session that is too long": [one({ duration: "12h1s" }), "auth.assumeRole.duration must be between 15m and 12h"],
    "an invalid duration": [one({ duration: "soon" }), "auth.assumeRole.duration must be a duration"],
    "a duration over an hour with role chaining": [
      connection({ auth: assuming({ roleArn: `${role}/a` }, { roleArn: `${role}/b`, duration: "2h" }) }),
      "with more than one role each duration must be at most 1h",
      "shorten or remove it",
    ],
    "roles of a queue with a single identity": [
      clusterConnection({
        events: {
          queueUrl: "https://sqs.eu-west-1.amazonaws.com/123456789012/q",
          auth: { assumeRole: [{ roleArn: `${role}/q` }] },
        },
      }),
      "spec.events.auth is only for connections whose auth.assumeRole has {namespace} in it",
    ],
    "a queue role with {namespace}": [
      clusterConnection({
        auth: { assumeRole: [{ roleArn: `${role}/{namespace}` }] },
        events: {
          queueUrl: "https://sqs.eu-west-1.amazonaws.com/123456789012/q",
          auth: { assumeRole: [{ roleArn: `${role}/{namespace}` }] },
        },
      }),
      "events.auth.assumeRole.roleArn: placeholders are not allowed",
    ],
  });
});

/** Two regions of each partition. */
const ofOnePartition = [
  ["eu-west-1", "us-east-1"],
  ["cn-north-1", "cn-northwest-1"],
  ["us-gov-west-1", "us-gov-east-1"],
  ["us-iso-east-1", "us-iso-west-1"],
  ["us-isob-east-1", "us-isob-west-1"],
  ["eu-isoe-west-1", "eu-isoe-east-1"],
  ["us-isof-east-1", "us-isof-south-1"],
  ["eusc-de-east-1", "eusc-de-west-1"],
];

describe("failoverRegions", () => {
  takes(dryRun, {
    "failover regions": connection({ failoverRegions: ["eu-central-1", "us-east-1"] }),
    ...Object.fromEntries(
      ofOnePartition.map((ours) => [
        `failover regions of ${partitionOf(ours[0]!)}`,
        connection({ region: ours[0], failoverRegions: ours.slice(1) }),
      ]),
    ),
    "failover regions with {region} in endpoints": clusterConnection({
      failoverRegions: ["eu-central-1"],
      endpoints: { ssm: "https://ssm.{region}.proxy.example/{region}/x", kms: "https://{region}" },
    }),
  });
  refuses(dryRun, {
    "spec.region in failoverRegions": [
      connection({ failoverRegions: ["eu-central-1", "eu-west-1"] }),
      "spec.failoverRegions must not have spec.region itself",
    ],
    "an invalid region": [
      connection({ failoverRegions: ["Frankfurt"] }),
      "failoverRegions must have codes of AWS regions",
    ],
    ...Object.fromEntries(
      ofOnePartition.flatMap(([region, other]) =>
        ofOnePartition
          .filter(([home]) => home !== region)
          .map(([home]) => [
            `a failover region of ${partitionOf(region!)} for a region of ${partitionOf(home!)}`,
            [
              (home === "us-gov-west-1" ? clusterConnection : connection)({ region: home, failoverRegions: [other] }),
              "must have regions of spec.region's own partition",
            ] as [object, string],
          ]),
      ),
    ),
    "a duplicate region": [connection({ failoverRegions: ["eu-central-1", "eu-central-1"] }), "Duplicate value"],
    "six failover regions": [
      connection({ failoverRegions: ["a", "b", "c", "d", "e", "f"].map((x) => `eu-${x}-1`) }),
      "must have at most 5 items",
    ],
    "another placeholder in an endpoint": [
      clusterConnection({ endpoints: { ssm: "https://{zone}.example" } }),
      "endpoints.ssm must be a URL of a host",
    ],
  });
});

describe("a ClusterAWSConnection", () => {
  takes(dryRun, {
    "the operator's own identity": clusterConnection({}),
    "a Secret": clusterConnection({ auth: { secretRef: { name: "aws", namespace: "keyferry-system" } } }),
    "every namespace": clusterConnection({ allow: { namespaces: { selector: {} } } }),
    "namespaces by label": clusterConnection({
      allow: {
        namespaces: {
          selector: {
            matchLabels: { team: "shop" },
            matchExpressions: [{ key: "env", operator: "In", values: ["prod"] }],
          },
        },
      },
    }),
    "endpoints of its own": clusterConnection({
      endpoints: {
        ssm: "https://vpce-0a.ssm.eu-west-1.vpce.amazonaws.com",
        kms: "http://127.0.0.1:4566/",
        sts: "http://[::1]:80",
      },
    }),
    "FIPS and dual stack": clusterConnection({ useFIPS: true, useDualStack: true }),
    "endpoints without FIPS": clusterConnection({ endpoints: { ssm: "https://localhost" }, useFIPS: false }),
    ...Object.fromEntries(
      [...patterns, ...arnPatterns].map((pattern) => [`the name ${pattern}`, allowing({ parameters: [pattern] })]),
    ),
  });
  refuses(dryRun, {
    "no allow": [
      clusterConnection({ allow: undefined }),
      "spec.allow.namespaces is required",
      "selector ({} selects all)",
    ],
    "no choice of namespaces": [clusterConnection({ allow: { parameters: [] } }), "spec.allow.namespaces is required"],
    "two choices of namespaces": [
      clusterConnection({ allow: { namespaces: { names: ["x"], selector: {} } } }),
      "spec.allow.namespaces",
      "needs exactly one of selector and names",
    ],
    "an empty choice of namespaces": [
      clusterConnection({ allow: { namespaces: {} } }),
      "needs exactly one of selector and names",
    ],
    "a star among the names": [
      clusterConnection({ allow: { namespaces: { names: ["*"] } } }),
      "allow.namespaces.names must have names of namespaces",
      "use selector",
    ],
    "the operator In without values": [
      clusterConnection({ allow: { namespaces: { selector: { matchExpressions: [{ key: "a", operator: "In" }] } } } }),
      "values must have at least one entry",
    ],
    "the operator Exists with values": [
      clusterConnection({
        allow: { namespaces: { selector: { matchExpressions: [{ key: "a", operator: "Exists", values: ["x"] }] } } },
      }),
      "none with Exists",
    ],
    "an invalid label name": [
      clusterConnection({ allow: { namespaces: { selector: { matchLabels: { "a b": "x" } } } } }),
      "matchLabels: each name must be",
    ],
    "an invalid label value": [
      clusterConnection({ allow: { namespaces: { selector: { matchLabels: { a: "x y" } } } } }),
      "matchLabels: each value must be",
    ],
    "an expression with an invalid label name": [
      clusterConnection({
        allow: { namespaces: { selector: { matchExpressions: [{ key: "", operator: "Exists" }] } } },
      }),
      "matchExpressions: key must be",
    ],
    "an expression with an invalid label value": [
      clusterConnection({
        allow: { namespaces: { selector: { matchExpressions: [{ key: "a", operator: "In", values: ["x y"] }] } } },
      }),
      "matchExpressions: each value must be",
    ],
    "a Secret without its namespace": [
      clusterConnection({ auth: { secretRef: { name: "aws" } } }),
      "spec.auth.secretRef.namespace",
      "Required value",
    ],
    "an invalid namespace of a Secret": [
      clusterConnection({ auth: { secretRef: { name: "aws", namespace: "a.b" } } }),
      "auth.secretRef.namespace must be a namespace's name",
    ],
    "an invalid name of a Secret": [
      clusterConnection({ auth: { secretRef: { name: "AWS", namespace: "a" } } }),
      "auth.secretRef.name must be a Secret's name",
    ],
    "an invalid URL of an STS endpoint": [
      clusterConnection({ endpoints: { sts: "https://" } }),
      "endpoints.sts must be a URL of a host",
    ],
    "an unknown binding scope": [
      clusterConnection({ binding: { scope: "Cluster" } }),
      "spec.binding.scope",
      'supported values: "None", "Namespace", "Name"',
    ],
    "binding without a scope": [
      clusterConnection({ binding: { allowUnbound: true } }),
      "spec.binding.scope",
      "Required",
    ],
    "a key id": [allowing({ keyIds: ["0a1b"] }), "spec.allow.keyIds[0]", "must have ARNs of keys"],
    "an alias": [allowing({ keyIds: [key.replace("key/", "alias/")] }), "aliases, which can be moved to another key"],
    "an endpoint without a scheme": [
      clusterConnection({ endpoints: { ssm: "ssm.example.com" } }),
      "spec.endpoints.ssm",
      "must be a URL of a host",
    ],
    "an endpoint with a password": [
      clusterConnection({ endpoints: { kms: "https://a:b@kms.example.com" } }),
      "endpoints.kms must be a URL of a host",
    ],
    "FIPS with endpoints": [
      clusterConnection({ endpoints: { ssm: "https://localhost" }, useFIPS: true }),
      "spec.endpoints cannot be given with useFIPS",
    ],
    ...Object.fromEntries(
      Object.entries(badPatterns).map(([sentence, [pattern, says]]) => [
        `a name with ${sentence}`,
        [allowing({ parameters: [pattern] }), "spec.allow.parameters[0]", says] as const,
      ]),
    ),
  });
});
