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

/** Tags that a template may use; `elsif`, `else`, `when` and the closing tags belong to them. */
export const allowedTags = ["if", "unless", "case", "for", "break", "continue", "assign", "comment", "raw"] as const;

/**
 * Filters that a template may use. All are linear in their input, return at most six times as much, and depend on no
 * time, locale or randomness.
 */
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

/** Maximum characters that all filters, comparisons and loops in the templates of one Secret may read and write. */
const maxWork = 4_194_304;

/** Maximum tags, outputs and text pieces that the templates of one Secret may render: some tens of milliseconds. */
const maxSteps = 50_000;

/**
 * The work left for the templates of one Secret. It is counted, not timed, so that every machine refuses the same
 * templates. Replaces both limiters of a liquidjs Context.
 */
export class Budget {
  readonly #spent: Work;
  #work = maxWork;
  #steps = maxSteps;

  /** @param work the Secret's counter, shared with the rest of its assembly */
  constructor(work = new Work()) {
    this.#spent = work;
  }

  /** Counts characters or items before they are read or made. */
  use(count: unknown): void {
    // A count that is not a number cannot be bounded.
    const size = Number(count) >= 0 ? Number(count) : Number.POSITIVE_INFINITY;
    this.#work -= size;
    if (this.#work < 0) throw invalid("the templates take too much memory; make them do less");
    this.#spent.spend(size / 4);
  }

  /** Counts one rendered piece; the renderer calls it with the time. */
  check(): void {
    this.#steps--;
    if (this.#steps < 0) throw invalid("the templates take too many steps; make their loops shorter");
    this.#spent.spend(20);
  }
}

/** Collects the output of a template, up to the maximum size of a Secret. */
export class Output implements Emitter {
  buffer = "";

  write(value: unknown): void {
    this.buffer += printed(value);
    if (this.buffer.length > maxBytes)
      throw invalid(`it prints over ${maxBytes} characters, which a Secret cannot hold`);
  }
}

/** `for`, which counts its collection before `offset`, `limit` and `reversed` copy it. */
class CountedFor extends ForTag {
  override *render(context: Context, emitter: Emitter): ReturnType<ForTag["render"]> {
    context.memoryLimit.use(weightOf(toValueSync(evalToken(this.collection, context))));
    return yield* super.render(context, emitter);
  }
}

/**
 * The engine of every template: Liquid without file system, dates, randomness or unlisted tags and filters. An unknown
 * name is an error, except in `default`, `if`, `unless` and `case`.
 */
export const engine = confined();

/** Creates the scope in which templates see `variables` and use up `budget`. */
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
    // Otherwise liquidjs asks Intl for it, which loads its data: 10 ms of the start.
    locale: "en-US",
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

/** The operators; each one counts what it compares. */
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

/** Refuses invalid Base64 and decoded bytes that are not text; the filter of liquidjs accepts both. */
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
