import { Liquid, type Template, TypeGuards, toValueSync } from "liquidjs";
import { isSecretKey } from "./keys.ts";
import { invalid, type Problem, Refusal } from "./refusal.ts";
import { allowedFilters, allowedTags, Budget, engine, Output, scopeOf } from "./template-engine.ts";
import { bytesOf, placeOf, textOf } from "./text.ts";
import { Exhausted, Work } from "./work.ts";

/** Characters of one template, as in the CRD, and of all templates of a Secret: a quarter of a second of parsing. */
const maxTemplate = 65_536;
const maxTemplates = 262_144;

/** Units of work that a character of a template costs to parse and to look through. */
const unitsACharacter = 30;

/** Segments of a name, such as `data.DB_USER`, that a message names; values are text, so more than two lead nowhere. */
const maxSegments = 3;

/** `spec.target.template`. */
export interface TemplateInput {
  /** Liquid templates by the key that they make. */
  data: Record<string, string>;
  /** Whether the keys that templates are made from are in the Secret too: false when left out. */
  includeSourceKeys?: boolean;
}

/**
 * Renders a Secret's templates over the keys of its sources. Each key is a variable by its own name, and
 * `data["tls.key"]` for any name; all values are text. Templates do not see each other's results.
 *
 * @param sources what `data` and `dataFrom` came to
 * @returns the Secret's data: the templates' keys alone, or with `includeSourceKeys` the sources' too, none of which may be
 * equal to a template's; and all that is wrong, in the order of the templates
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

/** The commonest mistake: a template of Go's, as other operators take. Only where Liquid has refused it. */
function goTemplateIn(template: string, error: unknown): Refusal | undefined {
  if (error instanceof Exhausted) throw error;
  const found = /\{\{-?[ \t]*(?:[a-z]+[ \t]+)?\.([A-Za-z_][\w-]{0,62})?/.exec(template);
  if (!found) return undefined;
  const instead = found[1] === undefined ? "{{ NAME }}" : `{{ ${found[1]} }}`;
  const place = placeOf(template, found.index);
  return invalid(`it is a Go template at ${place}, and not Liquid: write ${instead}, without the dot`);
}

/**
 * Looks through a parsed template: refuses ranges, `(1..5)`, which past 2^53 never end, and collects the names that are
 * written out in it, which alone may be named in a message: `data[PIN]` has the value of PIN in its name.
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

/** Tells what was wrong, without a word of the library's, which wraps errors in errors. */
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

/** The variables: an object without prototype, on which what is not text refuses to be read. */
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
  // Liquid gives these a meaning of its own where no key has the name: the number of members, and an item of a list.
  for (const name of ["size", "first", "last"]) {
    if (!sources.has(name)) Object.defineProperty(own, name, { value: undefined, enumerable: false });
  }
  // `data` means all keys, also where one of them has that name: that one is data["data"].
  const descriptors = { ...Object.getOwnPropertyDescriptors(own), data: { value: own, enumerable: true } };
  return Object.create(null, descriptors);
}
