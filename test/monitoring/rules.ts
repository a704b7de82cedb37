import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { root } from "../../scripts/crds.ts";

/** A rule of Prometheus. */
export interface Rule {
  /** The name of an alert; without one it is a recording rule. */
  alert?: string;
  /** The series that a recording rule writes. */
  record?: string;
  expr: string;
  /** A duration of Prometheus, such as `15m`. */
  for?: string;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
}

/** A rule file in the format of promtool. */
export interface RuleFile {
  groups: { name: string; interval?: string; rules: Rule[] }[];
}

/** The path of the chart's rule file. */
export const rulesPath = join(root, "helm/keyferry/files/rules/keyferry.yaml");

/** Reads the chart's rule file. */
export function readRules(): RuleFile {
  return parse(readFileSync(rulesPath, "utf8")) as RuleFile;
}

/** The alerts of a rule file, in its order. */
export function alertsOf(file: RuleFile): (Rule & { alert: string })[] {
  return file.groups.flatMap(({ rules }) => rules).filter((rule) => isAlert(rule));
}

function isAlert(rule: Rule): rule is Rule & { alert: string } {
  return rule.alert !== undefined;
}

/** Seconds of the alert about silent queues, for a test that does not wait a day. */
const silentAfterS = 120;

/**
 * A rule file with all times shorter: `for`, range windows and offsets are divided by `divisor`. Thresholds stay, but for
 * the day after which a queue counts as silent.
 */
export function scaledDown(file: RuleFile, divisor: number): RuleFile {
  const shorter = (duration: string) => divided(duration, divisor);
  const groups = file.groups.map(({ name, rules }) => ({
    name,
    rules: rules.map((rule) => ({
      ...rule,
      expr: rule.expr
        .replace(/\[([0-9a-z]+)\]/g, (_, duration: string) => `[${shorter(duration)}]`)
        .replace(/(_silent_seconds > )86400$/, `$1${silentAfterS}`)
        .replace(/\boffset ([0-9a-z]+)/g, (_, duration: string) => `offset ${shorter(duration)}`),
      ...(rule.for === undefined ? {} : { for: shorter(rule.for) }),
    })),
  }));
  return { groups };
}

const unitsMs = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 };

/** @throws Error if `duration` is no duration of Prometheus, or becomes shorter than a millisecond */
function divided(duration: string, divisor: number): string {
  if (!/^([0-9]+(ms|[smhdw]))+$/.test(duration)) throw new Error(`${duration} is not a duration`);
  const parts = [...duration.matchAll(/([0-9]+)(ms|[smhdw])/g)];
  const ms = parts.reduce((sum, [, count, unit]) => sum + Number(count) * unitsMs[unit as keyof typeof unitsMs], 0);
  const result = Math.round(ms / divisor);
  if (result < 1) throw new Error(`${duration} / ${divisor} is shorter than a millisecond`);
  return `${result}ms`;
}
