import type { Problem } from "./refusal.ts";
export interface TemplateInput {
  data: Record<string, string>;
  keepSources?: boolean;
}
export function renderTemplates(
  input: TemplateInput,
  sources: Map<string, Uint8Array>,
): { data: Map<string, Uint8Array>; problems: Problem[] } {
  void input;
  return { data: sources, problems: [] };
}
