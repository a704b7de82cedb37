// Merges aws/operator.yaml and aws/events.yaml into the single stack aws/keyferry.yaml, so that the first installation
// is one command. With --check it only compares, and exits with 1 if they differ.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type Document, isMap, parseDocument, type YAMLMap } from "yaml";
import { root } from "./crds.ts";
import { settle } from "./generated.ts";

const script = "scripts/aws-stack.ts";
const sections = ["Parameters", "Rules", "Conditions", "Resources", "Outputs"];

function read(file: string): Document {
  // Keeps CloudFormation tags unchanged and without warnings.
  return parseDocument(readFileSync(join(root, "aws", file), "utf8"), { logLevel: "error" });
}

function section(document: Document, name: string): YAMLMap | undefined {
  const node = document.get(name);
  return isMap(node) ? node : undefined;
}

const stack = read("operator.yaml");
const events = read("events.yaml");
for (const name of sections) {
  for (const pair of section(events, name)?.items ?? []) {
    const key = String(pair.key);
    // The stack creates the role itself.
    if (key === "RoleName" || key === "IsAttached" || section(stack, name)!.has(key)) continue;
    section(stack, name)!.items.push(pair);
  }
}
const own = parseDocument("- HasRole\n- [!Ref Role]\n- !Ref AWS::NoValue\n", { logLevel: "error" }).contents!;
own.tag = "!If";
stack.setIn(["Resources", "ReceivePolicy", "Properties", "Roles"], own);
stack.set(
  "Description",
  "Keyferry: the operator's policies and role, and its queue of events. For the first cluster and region.",
);
stack.commentBefore = ` Made of operator.yaml and events.yaml by node ${script}: change those.`;
section(stack, "Parameters")!.commentBefore =
  " docs/install-aws.md says how to deploy it, and docs/events.md what becomes of the events.";

const text = stack.toString({ lineWidth: 0, flowCollectionPadding: false });
settle(new Map([["aws/keyferry.yaml", text]]), script);
