import type { Document } from "../../src/policy/document.ts";
import { glob } from "./call.ts";
import type { Request } from "./denials.ts";

/**
 * Whether IAM would let a request through by an identity's policy (IAM User Guide, "Policy evaluation logic"), as far as
 * `keyferry policy` writes policies: allowing statements, StringEquals and StringLike, no negation.
 */
export function allows({ Statement }: Document, { action, resource, context }: Request): boolean {
  // Everybody may ask who they are (STS API Reference, GetCallerIdentity).
  if (action === "sts:GetCallerIdentity") return true;
  return Statement.some(({ Action, Resource, Condition = {} }) => {
    const holds = Object.entries(Condition).every(([operator, keys]) => {
      const isLike = operator === "StringLike";
      if (!isLike && operator !== "StringEquals") throw new Error(`the operator ${operator} is not known here`);
      return Object.entries(keys).every(([key, wanted]) => {
        const value = context.get(key);
        return value !== undefined && [wanted].flat().some((one) => (isLike ? glob(one, value) : one === value));
      });
    });
    return holds && [Action].flat().includes(action) && [Resource].flat().some((pattern) => glob(pattern, resource));
  });
}
