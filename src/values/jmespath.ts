import { compile } from "@jmespath-community/jmespath";
import { Evaluation, type Expression } from "./jmespath-evaluate.ts";
import type { Json } from "./json.ts";
import { maxExpressionLength } from "./limits.ts";
import { invalid, Refusal } from "./refusal.ts";
import { Work } from "./work.ts";

/** Units of work to parse one character of an expression. */
const unitsACharacter = 20;

/**
 * Evaluates a JMESPath expression (https://jmespath.org/specification.html, as in the AWS CLI) on a parsed document.
 * The library only parses: our evaluation keeps every digit of a number, finds only own keys, and bounds the work.
 * Arithmetic functions (abs, avg, ceil, floor, sum) and the community's extensions (let, ternaries, arithmetic) are not
 * supported.
 *
 * @returns null if the expression matches nothing
 * @throws Refusal if the expression has over 1,024 characters, is not JMESPath, or costs too much
 */
export function evaluate(expression: string, document: Json, work = new Work()): Json {
  if (expression.length > maxExpressionLength) {
    throw invalid(`jmesPath has ${expression.length} characters, and at most ${maxExpressionLength} are allowed`);
  }
  try {
    // Each character is read twice: by the parser and by the search for unquoted names.
    work.spend(unitsACharacter * expression.length);
    return new Evaluation(document, work).run(parsed(expression));
  } catch (error) {
    if (error instanceof Refusal) throw new Refusal(error.reason, `jmesPath ${expression}: ${error.message}`);
    throw error;
  }
}

/**
 * Finds an unquoted name that contains `-`, `/` or `$`, such as `db-password`. The library would parse it as
 * arithmetic or a variable, which JMESPath does not have.
 */
function bareName(expression: string): string | undefined {
  const unquoted = expression.replace(
    /"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`(?:[^`\\]|\\.)*`|\[[^\]"'`]*\]/g,
    (quoted) => " ".repeat(quoted.length),
  );
  const variable = /(?<![\w$])\$[A-Za-z_]\w*/.exec(unquoted)?.[0];
  if (variable !== undefined) return /\blet\b/.test(unquoted) ? undefined : variable;
  return /(?<![\w$/-])(?=[A-Za-z_$])[A-Za-z_][\w]*(?:[-/$][\w]*[A-Za-z_][\w]*)+(?![\w(])/.exec(unquoted)?.[0];
}

function parsed(expression: string): Expression {
  const bare = bareName(expression);
  if (bare !== undefined) throw invalid(`write "${bare}" in double quotes: it contains a ${/[^\w]/.exec(bare)![0]}`);
  try {
    return compile(expression) as Expression;
  } catch {
    throw invalid(
      "it is not a JMESPath expression; a name with other characters than letters, digits and _ needs double quotes",
    );
  }
}
