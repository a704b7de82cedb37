import {
  Context,
  defaultOperators,
  type Emitter,
  evalToken,
  ForTag,
  filters,
  Liquid,
  type Operators,
  toValueSync,
} from "liquidjs";
import { decode } from "./decode.ts";
import { maxBytes } from "./limits.ts";
import { invalid } from "./refusal.ts";
import { bytesOf, textOf } from "./text.ts";
import { Work } from "./work.ts";

/** Tags that a template may use; `elsif`, `else`, `when` and the ends belong to them. */
export const allowedTags = ["if", "unless", "case", "for", "break", "continue", "assign", "comment", "raw"] as const;

/** Filters that a template may use. All are linear in their input, give at most six times as much, and know no time, place or chance. */
export const allowedFilters = [
  "append",
  "base64_decode",
  "base64_encode",
  "capitalize",
  "default",
  "downcase",
  "escape",
  "first",
  "join",
  "json",
  "last",
  "lstrip",
  "prepend",
  "remove",
  "replace",
  "rstrip",
  "size",
  "split",
  "strip",
  "strip_newlines",
  "upcase",
  "url_decode",
  "url_encode",
] as const;

/** Characters that the templates of one Secret may read and write in all their filters, comparisons and loops. */
const maxWork = 4_194_304;

/** Tags, outputs and pieces of text that the templates of one Secret may render: some tens of milliseconds. */
const maxSteps = 50_000;

/**
 * What the templates of one Secret may still spend. Counted and not timed, so that a template that is refused is
 * refused on every machine. Stands in the place of both limiters of a Context.
 */
export class Budget {
  readonly #spent: Work;
  #work = maxWork;
  #steps = maxSteps;

  /** @param work what else is done for the same Secret counts on */
  constructor(work = new Work()) {
    this.#spent = work;
  }

  /** Counts characters or items that are about to be read or made. */
  use(count: unknown): void {
    // A count that is not a number is one that cannot be bounded.
    const size = Number(count) >= 0 ? Number(count) : Number.POSITIVE_INFINITY;
    this.#work -= size;
    if (this.#work < 0) throw invalid("the templates take too much memory; make them do less");
    this.#spent.spend(size / 4);
  }

  /** Counts one piece of a template; the renderer calls it with the time. */
  check(): void {
    this.#steps--;
    if (this.#steps < 0) throw invalid("the templates take too many steps; make their loops shorter");
    this.#spent.spend(20);
  }
}

/** Collects what a template prints, up to what a Secret can hold. */
export class Output implements Emitter {
  buffer = "";

  write(value: unknown): void {
    this.buffer += printed(value);
    if (this.buffer.length > maxBytes)
      throw invalid(`it prints over ${maxBytes} characters, which a Secret cannot hold`);
  }
}

/** `for`, counting its collection before `offset`, `limit` and `reversed` copy it. */
class CountedFor extends ForTag {
  override *render(context: Context, emitter: Emitter): ReturnType<ForTag["render"]> {
    context.memoryLimit.use(weightOf(toValueSync(evalToken(this.collection, context))));
    return yield* super.render(context, emitter);
  }
}

/**
 * The engine of every template: Liquid without file system, dates, chance or any tag and filter that is not listed;
 * a name that does not exist is an error, except in `default`, `if`, `unless` and `case`.
 */
export const engine = confined();

/** Makes the scope in which templates see `variables`, and spend from `budget`. */
export function scopeOf(variables: object, budget: Budget): Context {
  const limiter = budget as unknown as Context["memoryLimit"];
  const options = { sync: true, globals: Object.create(null), strictVariables: true, ownPropertyOnly: true };
  return new Context(variables, engine.options, options, {
    memoryLimit: limiter,
    renderLimit: limiter,
    liquid: engine,
  });
}

function confined(): Liquid {
  const liquid = new Liquid({
    strictVariables: true,
    strictFilters: true,
    lenientIf: true,
    ownPropertyOnly: true,
    templates: {},
    globals: Object.create(null),
    operators: counted(),
  });
  for (const name of Object.keys(liquid.tags)) if (!allowedTags.some((tag) => tag === name)) delete liquid.tags[name];
  for (const name of Object.keys(liquid.filters)) delete liquid.filters[name];
  for (const name of allowedFilters) {
    const handler = name === "base64_decode" ? decodeText : filters[name];
    if (typeof handler !== "function") throw new Error(`liquidjs has no filter ${name}`);
    liquid.registerFilter(name, function (value, ...args) {
      this.context.memoryLimit.use([value, ...args].reduce((sum, each) => sum + weightOf(each), 1));
      return handler.call(this, value, ...args);
    });
  }
  liquid.registerTag("for", CountedFor);
  return liquid;
}

/** The operators, each counting what it compares. */
function counted(): Operators {
  const operators: Operators = {};
  for (const [name, handler] of Object.entries(defaultOperators)) {
    operators[name] =
      name === "not"
        ? handler
        : (left, right, context) => {
            (context as Context).memoryLimit.use(weightOf(left) + weightOf(right));
            return handler(left, right, context);
          };
  }
  return operators;
}

/** Unlike liquidjs's own, refuses what is not Base64, or is not text when decoded. */
function decodeText(value: unknown): string {
  return textOf(decode(bytesOf(printed(value)), "Base64"));
}

function weightOf(value: unknown): number {
  return typeof value === "string" || Array.isArray(value) ? value.length : 1;
}

function printed(value: unknown): string {
  if (typeof value === "string") return value;
  if (value === undefined || value === null) return "";
  if (Array.isArray(value)) return value.map(printed).join("");
  if (typeof value === "object") throw invalid("it prints an object; print one of its keys, or use the filter json");
  return String(value);
}
