"""Creates a CloudFormation stack at an endpoint, and prints what came of it as JSON.

Arguments: the endpoint, the stack's name, the template's file, the parameters as a JSON object.
"""

import json
import sys

import boto3

endpoint, name, template, parameters = sys.argv[1:]
session = boto3.Session(
    aws_access_key_id="AKIAKEYFERRYTEST",
    aws_secret_access_key="not-checked",
    region_name="eu-west-1",
)


def client(service):
    return session.client(service, endpoint_url=endpoint)


cloudformation = client("cloudformation")
with open(template, encoding="utf-8") as file:
    cloudformation.create_stack(
        StackName=name,
        TemplateBody=file.read(),
        Parameters=[
            {"ParameterKey": key, "ParameterValue": value}
            for key, value in json.loads(parameters).items()
        ],
        Capabilities=["CAPABILITY_IAM"],
    )
[stack] = cloudformation.describe_stacks(StackName=name)["Stacks"]
resources = cloudformation.describe_stack_resources(StackName=name)["StackResources"]
iam = client("iam")
events = client("events")


def ids(kind):
    return [
        (r["LogicalResourceId"], r["PhysicalResourceId"])
        for r in resources
        if r.get("ResourceType") == kind
    ]


def policy(arn):
    version = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
    found = iam.get_policy_version(PolicyArn=arn, VersionId=version)
    return found["PolicyVersion"]["Document"]


def role(role_name):
    attached = iam.list_attached_role_policies(RoleName=role_name)["AttachedPolicies"]
    return {
        "trust": iam.get_role(RoleName=role_name)["Role"]["AssumeRolePolicyDocument"],
        "policies": [one["PolicyArn"] for one in attached],
    }


def rule(rule_name):
    rule_name = rule_name.rsplit("/", 1)[-1]
    return {
        "pattern": json.loads(events.describe_rule(Name=rule_name)["EventPattern"]),
        "targets": [
            target["Arn"]
            for target in events.list_targets_by_rule(Rule=rule_name)["Targets"]
        ],
    }


print(
    json.dumps(
        {
            "status": stack["StackStatus"],
            "outputs": {
                one["OutputKey"]: one["OutputValue"] for one in stack.get("Outputs", [])
            },
            "policies": {
                key: policy(arn) for key, arn in ids("AWS::IAM::ManagedPolicy")
            },
            "roles": {key: role(role_name) for key, role_name in ids("AWS::IAM::Role")},
            "rules": {key: rule(arn) for key, arn in ids("AWS::Events::Rule")},
            "resources": sorted(
                r["LogicalResourceId"] for r in resources if "ResourceType" in r
            ),
        }
    )
)
