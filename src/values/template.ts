import { Liquid, type Template, TypeGuards, toValueSync } from "liquidjs";
import { isSecretKey } from "./keys.ts";
import { invalid, type Problem, Refusal } from "./refusal.ts";
import { allowedFilters, allowedTags, Budget, engine, Output, scopeOf } from "./template-engine.ts";
import { bytesOf, placeOf, textOf } from "./text.ts";
import { Exhausted, Work } from "./work.ts";

/** Maximum characters of one template, as in the CRD, and of all of a Secret's: a quarter of a second of parsing. */
const maxTemplate = 65_536;
const maxTemplates = 262_144;

/** Units of work to parse and inspect one character of a template. */
const unitsACharacter = 30;

/** Maximum segments of a name in a message, such as `data.DB_USER`: values are text, so longer paths find nothing. */
const maxSegments = 3;

/** `spec.target.template`. */
export interface TemplateInput {
  /** Liquid templates by the key that each one makes. */
  data: Record<string, string>;
  /** Whether the Secret also contains the source keys; default false. */
  includeSourceKeys?: boolean;
}

/**
 * Renders a Secret's templates over its source keys. Each key is a variable by its own name, and `data["tls.key"]`
 * works for any name; all values are text. A template cannot read the result of another.
 *
 * @param sources the keys and values from `data` and `dataFrom`
 * @returns the Secret's data: the templates' keys, and with `includeSourceKeys` also the source keys, none of which may
 * equal a template's key; and all problems, in the order of the templates
 */
export function renderTemplates(
  { data: templates, includeSourceKeys = false }: TemplateInput,
  sources: ReadonlyMap<string, Uint8Array>,
  work = new Work(),
): { data: Map<string, Uint8Array>; problems: Problem[] } {
  const problems: Problem[] = [];
  const data = new Map(includeSourceKeys ? sources : []);
  const variables = variablesOf(sources);
  const budget = new Budget(work);
  let characters = 0;
  for (const [key, template] of Object.entries(templates)) {
    try {
      if (!isSecretKey(key)) throw invalid("its name is not a Secret's key");
      if (includeSourceKeys && sources.has(key)) {
        throw new Refusal(
          "KeyConflict",
          "a source makes the same key; rename one of them, or set includeSourceKeys: false",
        );
      }
      characters += template.length;
      if (template.length > maxTemplate) throw invalid(`it has over ${maxTemplate} characters`);
      if (characters > maxTemplates) throw invalid(`with those before it, it has over ${maxTemplates} characters`);
      work.spend(unitsACharacter * template.length);
      data.set(key, bytesOf(render(template, variables, budget)));
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      problems.push({ reason: error.reason, message: `target.template.data (${key}): ${error.message}` });
    }
  }
  return { data, problems };
}

function render(template: string, variables: object, budget: Budget): string {
  const names = new Set<string>();
  try {
    const parsed = engine.parse(template);
    inspect(parsed, names);
    const output = new Output();
    toValueSync(engine.renderer.renderTemplates(parsed, scopeOf(variables, budget), output));
    return output.buffer;
  } catch (error) {
    throw goTemplateIn(template, error) ?? refusalOf(error, names);
  }
}

/** Detects a Go template, the most common mistake. Called only after Liquid has refused the text. */
function goTemplateIn(template: string, error: unknown): Refusal | undefined {
  if (error instanceof Exhausted) throw error;
  const found = /\{\{-?[ \t]*(?:[a-z]+[ \t]+)?\.([A-Za-z_][\w-]{0,62})?/.exec(template);
  if (!found) return undefined;
  const instead = found[1] === undefined ? "{{ NAME }}" : `{{ ${found[1]} }}`;
  const place = placeOf(template, found.index);
  return invalid(`it is a Go template at ${place}, and not Liquid: write ${instead}, without the dot`);
}

/**
 * Inspects a parsed template. It refuses ranges such as `(1..5)`, which never end above 2^53, and collects the names
 * that the template spells out. Messages may name only these: the name in `data[PIN]` is the value of PIN.
 */
function inspect(parsed: Template[], names: Set<string>): void {
  const seen = new Set<unknown>();
  const waiting: unknown[] = [parsed];
  while (waiting.length > 0) {
    const part = waiting.pop();
    if (typeof part !== "object" || part === null || part instanceof Liquid || seen.has(part)) continue;
    seen.add(part);
    if (TypeGuards.isRangeToken(part)) throw invalid("it has a range such as (1..5), which templates here cannot have");
    if (TypeGuards.isPropertyAccessToken(part) && !part.variable) {
      let name = "";
      for (const property of part.props.slice(0, maxSegments)) {
        if (!("content" in property)) break;
        name += `${name && "."}${property.content}`;
        names.add(name);
      }
    }
    for (const inner of Object.values(part)) waiting.push(inner);
  }
}

/** Describes an error without the library's text; the library nests errors in errors. */
function refusalOf(error: unknown, names: ReadonlySet<string>): Refusal {
  const causes: Error[] = [];
  for (let cause = error; cause instanceof Error; cause = "originalError" in cause ? cause.originalError : undefined) {
    causes.push(cause);
  }
  const own = causes.find((cause) => cause instanceof Refusal);
  if (own) return own;
  if (causes.some((cause) => cause instanceof RangeError)) return invalid("it is nested too deep");
  const unknown = causes.find((cause) => cause.name === "InternalUndefinedVariableError");
  if (unknown && "variableName" in unknown) {
    const name = String(unknown.variableName);
    return invalid(
      names.has(name)
        ? `it names ${name}, which is not a key of data or dataFrom${placeIn(error)}`
        : `it names a key that does not exist${placeIn(error)}`,
    );
  }
  if (causes.some(({ name }) => name === "ParseError" || name === "TokenizationError")) {
    const messages = causes.map(({ message }) => message).join("\n");
    const filter = /undefined filter: ([\w-]{1,64})/.exec(messages)?.[1];
    if (filter !== undefined) {
      return invalid(`there is no filter ${filter}${placeIn(error)}; there are ${allowedFilters.join(", ")}`);
    }
    const tag = /tag "([\w-]{1,64})" not found/.exec(messages)?.[1];
    if (tag !== undefined)
      return invalid(`there is no tag ${tag}${placeIn(error)}; there are ${allowedTags.join(", ")}`);
    return invalid(
      `it is not a template that can be used: an error${placeIn(error)}; ` +
        `there are the tags ${allowedTags.join(", ")} and the filters ${allowedFilters.join(", ")}`,
    );
  }
  return invalid(`it cannot be rendered${placeIn(error)}`);
}

function placeIn(error: unknown): string {
  const token = error instanceof Error && "token" in error ? error.token : undefined;
  if (typeof token !== "object" || token === null || !("getPosition" in token)) return "";
  const [line, column] = (token as { getPosition(): number[] }).getPosition();
  return ` at line ${line}, column ${column}`;
}

/** Returns the variables: an object without a prototype, where reading a value that is not text throws. */
function variablesOf(sources: ReadonlyMap<string, Uint8Array>): object {
  const own: Record<string, unknown> = Object.create(null);
  for (const [key, bytes] of sources) {
    let text: string | undefined;
    try {
      text = textOf(bytes);
    } catch {
      text = undefined;
    }
    const get = () => {
      if (text === undefined)
        throw invalid(`the key ${key} is not text in UTF-8, and only text can be put into a template`);
      return text;
    };
    Object.defineProperty(own, key, { get, enumerable: true });
  }
  // Without a key of this name, Liquid would return the number of members or an item of a list.
  for (const name of ["size", "first", "last"]) {
    if (!sources.has(name)) Object.defineProperty(own, name, { value: undefined, enumerable: false });
  }
  // `data` is always the set of all keys; a key named data is data["data"].
  const descriptors = { ...Object.getOwnPropertyDescriptors(own), data: { value: own, enumerable: true } };
  return Object.create(null, descriptors);
}
