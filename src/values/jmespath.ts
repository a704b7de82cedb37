import { compile } from "@jmespath-community/jmespath";
import { Evaluation, type Expression } from "./jmespath-evaluate.ts";
import type { Json } from "./json.ts";
import { maxExpressionLength } from "./limits.ts";
import { invalid, Refusal } from "./refusal.ts";
import { Work } from "./work.ts";

/** Units of work that a character of an expression costs to parse. */
const unitsACharacter = 20;

/**
 * Evaluates a JMESPath expression (https://jmespath.org/specification.html, the language of the AWS tools) on a parsed
 * document. The library parses the expression; the evaluation is ours, because every digit of a number has to stay,
 * only own keys may be found, and the work has to be bounded. Functions that calculate (abs, avg, ceil, floor, sum) and
 * the community's extensions (let, ternaries, arithmetic) are left out.
 *
 * @returns null where the expression leads to nothing
 * @throws Refusal where the expression is over 1,024 characters, is not JMESPath, or costs too much
 */
export function evaluate(expression: string, document: Json, work = new Work()): Json {
  if (expression.length > maxExpressionLength) {
    throw invalid(`jmesPath has ${expression.length} characters, and at most ${maxExpressionLength} are allowed`);
  }
  try {
    // A character is looked at by the parser, and again by the search for names that want quotes.
    work.spend(unitsACharacter * expression.length);
    return new Evaluation(document, work).run(parsed(expression));
  } catch (error) {
    if (error instanceof Refusal) throw new Refusal(error.reason, `jmesPath ${expression}: ${error.message}`);
    throw error;
  }
}

/**
 * A name with a `-`, `/`, `$` or `:` that stands in an expression without quotes, such as `db-password`: the library reads
 * arithmetic or variables into it, which JMESPath has not.
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
