import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { renderTemplates } from "../../src/values/template.ts";
import { allowedFilters, allowedTags, engine } from "../../src/values/template-engine.ts";
import { canary, inherited, within } from "./support.ts";

const secret = new Map<string, Uint8Array>(
  Object.entries({
    DB_USER: Buffer.from("ada"),
    "tls.key": Buffer.from("a key"),
    "my-key": Buffer.from("dashed"),
    LIST: Buffer.from("c,a,b"),
    EMPTY: Buffer.from(""),
    NAME: Buffer.from("DB_USER"),
    PIN: Buffer.from(canary),
    FAR: Buffer.from("9007199254740992"),
    FARTHER: Buffer.from("9007199254740994"),
    BINARY: Uint8Array.of(0xff, 0xfe),
  }),
);

/** Renders one template; returns its text, or the message of its problem. */
function render(
  template: string,
  sources: ReadonlyMap<string, Uint8Array> = secret,
): { text: string } | { message: string } {
  const { data, problems } = renderTemplates({ data: { out: template } }, sources);
  const [problem] = problems;
  return problem ? { message: problem.message } : { text: Buffer.from(data.get("out")!).toString() };
}

describe("a template prints", () => {
  test.each<[string, string, string]>([
    ["a key", "url: {{ DB_USER }}@db", "url: ada@db"],
    ["a key with a dash", "{{ my-key }}", "dashed"],
    ["a key by any name", '{{ data["tls.key"] }} {{ data.DB_USER }}', "a key ada"],
    ["a key whose name is a key's value", "{{ data[NAME] }}", "ada"],
    ["an empty key", "<{{ EMPTY }}>", "<>"],
    ["a default for a key that does not exist", "{{ NOPE | default: 'none' }}", "none"],
    ["a default for an empty key", "{{ EMPTY | default: DB_USER }}", "ada"],
    ["the branch that is true", "{% if NOPE %}a{% elsif DB_USER == 'ada' %}b{% else %}c{% endif %}", "b"],
    ["unless", "{% unless DB_USER contains 'x' %}a{% endunless %}", "a"],
    ["case", "{% case DB_USER %}{% when 'bob', 'ada' %}a{% else %}b{% endcase %}", "a"],
    ["items", "{% assign l = LIST | split: ',' %}{% for i in l %}{{ forloop.index }}{{ i }};{% endfor %}", "1c;2a;3b;"],
    [
      "items with limit, offset and reversed",
      "{% assign l = LIST | split: ',' %}{% for i in l limit: 1 offset: 1 reversed %}{{ i }}{% endfor %}",
      "a",
    ],
    [
      "items until break",
      "{% assign l = LIST | split: ',' %}{% for i in l %}{% if i == 'b' %}{% break %}{% endif %}{{ i }}{% endfor %}",
      "ca",
    ],
    [
      "items without a skipped one",
      "{% assign l = LIST | split: ',' %}{% for i in l %}{% if i == 'a' %}{% continue %}{% endif %}{{ i }}{% endfor %}",
      "cb",
    ],
    ["nothing of a comment", "a{% comment %}{{ NOPE }}{% endcomment %}b", "ab"],
    ["raw text unchanged", "{% raw %}{{ NOPE }}{% endraw %}", "{{ NOPE }}"],
    ["without white space", "a {{- DB_USER -}} b", "aadab"],
    ["in Base64 and back", "{{ DB_USER | base64_encode }} {{ 'YWRh' | base64_decode }}", "YWRh ada"],
    ["as JSON", "{{ 'a\"b' | json }}", '"a\\"b"'],
    ["as a part of a URL", "{{ 'a b/c' | url_encode }} {{ 'a%20b' | url_decode }}", "a+b%2Fc a b"],
    ["as XML", "{{ '<a & b>' | escape }}", "&lt;a &amp; b&gt;"],
    [
      "text changed by a chain of filters",
      "{{ ' aXa ' | strip | upcase | replace: 'A', 'b' | append: '>' | prepend: '<' }}",
      "<bXb>",
    ],
    [
      "parts of a split list",
      "{{ LIST | split: ',' | first }}{{ LIST | split: ',' | last }}{{ LIST | split: ',' | join: '-' }}{{ LIST | size }}",
      "cbc-a-b5",
    ],
    ["text without tags", "plain é \u{1F600}", "plain é \u{1F600}"],
  ])("%s", (_, template, text) => {
    expect(render(template)).toEqual({ text });
  });

  test.each(inherited)("the key %s if it exists", (name) => {
    expect(render(`{{ ${name} }} {{ data.${name} }}`, new Map([[name, Buffer.from("own")]]))).toEqual({
      text: "own own",
    });
  });
});

describe("refuses an invalid template with its key, position and error", () => {
  test.each<[string, string, string]>([
    [
      "a key that does not exist",
      "a\n {{ NOPE }}",
      "it names NOPE, which is not a key of data or dataFrom at line 2, column 5",
    ],
    ["a key with a dot without data", "{{ my.key }}", "it names my, which"],
    ["a key of data that does not exist", '{{ data["a.b"] }}', "it names data.a.b, which"],
    ["a property of a key", "{{ DB_USER.name }}", "it names DB_USER.name, which"],
    ["the number of keys", "{{ size }}", "it names size, which"],
    ["the number of keys of data", "{{ data.size }}", "it names data.size, which"],
    ["a key that is not text", "{{ BINARY }}", "the key BINARY is not text in UTF-8"],
    ["a key that is not text, in a condition", "{% if BINARY %}a{% endif %}", "the key BINARY is not text in UTF-8"],
    ["all keys at once", "{{ data }}", "it prints an object"],
    ["an unknown tag", "{% nope %}", "there is no tag nope at line 1, column 1; there are if,"],
    ["an unknown filter", "\n{{ DB_USER | nope }}", "there is no filter nope at line 2, column 1; there are"],
    [
      "a Go template",
      "x\n{{ .DB_USER | b64enc }}",
      "a Go template at line 2, column 1, and not Liquid: write {{ DB_USER }}",
    ],
    ["an unclosed tag", "{% if DB_USER %}", "an error at line 1, column 1;"],
    ["an unclosed output", "{{ DB_USER", "an error at line 1, column 1;"],
    ["a filter without its argument", "{{ DB_USER | append }}", "it cannot be rendered at line 1, column 1"],
    ["invalid Base64", "{{ DB_USER | base64_decode }}", "the value is not Base64"],
    ["Base64 of bytes that are not text", "{{ '//79' | base64_decode }}", "the value is not text in UTF-8"],
    ["a range", "{% for i in (1..3) %}{% endfor %}", "it has a range such as (1..5)"],
    ["a lone surrogate", "\ud800", "it has a lone surrogate in it"],
    ["deeply nested tags", `${"{% if true %}".repeat(2_700)}${"{% endif %}".repeat(2_700)}`, "it is nested too deep"],
    ["over 65,536 characters", " ".repeat(65_537), "it has over 65536 characters"],
  ])("%s", (_, template, message) => {
    expect(render(template)).toHaveProperty("message", expect.stringContaining(message));
  });

  test("does not quote a name that is a value", () => {
    expect(render("{{ data[PIN] }}")).toEqual({
      message: "target.template.data (out): it names a key that does not exist at line 1, column 4",
    });
  });

  test("names every invalid template", () => {
    const { problems } = renderTemplates({ data: { a: "{{ A }}", b: "fine", c: "{% x %}", "..": "" } }, secret);
    expect(problems.map(({ message }) => message.split(":")[0])).toEqual([
      "target.template.data (a)",
      "target.template.data (c)",
      "target.template.data (..)",
    ]);
  });

  test("accepts 262,144 characters in all templates together", () => {
    const data = Object.fromEntries(["a", "b", "c", "d", "e"].map((key) => [key, " ".repeat(60_000)]));
    expect(renderTemplates({ data }, secret).problems.map(({ message }) => message)).toEqual([
      "target.template.data (e): with those before it, it has over 262144 characters",
    ]);
  });
});

describe("the Secret has", () => {
  const sources = new Map([["A", Buffer.from("a")]]);
  const made = (input: Parameters<typeof renderTemplates>[0]) => {
    const { data, problems } = renderTemplates(input, sources);
    return { keys: [...data.keys()], reasons: problems.map(({ reason }) => reason) };
  };

  test("only the templates' keys by default", () => {
    expect(made({ data: { B: "{{ A }}" } })).toEqual({ keys: ["B"], reasons: [] });
    expect(made({ data: { A: "{{ A }}{{ A }}" }, includeSourceKeys: false })).toEqual({ keys: ["A"], reasons: [] });
  });

  test("the source keys too, with includeSourceKeys", () => {
    expect(made({ data: { B: "{{ A }}" }, includeSourceKeys: true })).toEqual({ keys: ["A", "B"], reasons: [] });
  });

  test("no duplicate keys, with includeSourceKeys", () => {
    expect(made({ data: { A: "{{ A }}" }, includeSourceKeys: true }).reasons).toEqual(["KeyConflict"]);
  });

  test("keys of any name", () => {
    const data = JSON.parse('{"__proto__": "p", "constructor": "c"}');
    expect(made({ data }).keys).toEqual(["__proto__", "constructor"]);
  });

  test("templates that cannot read each other's results or variables", () => {
    expect(made({ data: { B: "{% assign C = 1 %}", D: "{{ B }}", E: "{{ C }}" } }).reasons).toEqual([
      "InvalidData",
      "InvalidData",
    ]);
  });
});

test("only the listed tags and filters are available", () => {
  expect(Object.keys(engine.tags).sort()).toEqual([...allowedTags].sort());
  expect(Object.keys(engine.filters).sort()).toEqual([...allowedFilters].sort());
  expect(Object.getPrototypeOf(engine.tags)).toBeNull();
  expect(Object.getPrototypeOf(engine.filters)).toBeNull();
});

describe("a hostile template is refused or harmless, without delay", () => {
  const big = new Map([...secret, ["BIG", Buffer.from("ab,".repeat(100_000))]]);
  const reaching = [
    '{{ "".constructor }}',
    "{{ DB_USER.constructor.constructor }}",
    '{{ data["__proto__"]["polluted"] }}',
    "{{ DB_USER | map: 'constructor' }}",
    "{{ DB_USER | where: 'constructor', 'x' }}",
    "{{ LIST | split: ',' | sort: '__proto__' }}",
    "{{ LIST | split: ',' | group_by_exp: 'x', 'x.constructor' }}",
    "{{ LIST | find_exp: 'x', 'x.constructor' }}",
    "{{ DB_USER | constructor }}",
    "{{ DB_USER | __defineGetter__: 'toString' }}",
    "{% constructor %}",
    "{% __proto__ %}",
    "{% include '/etc/passwd' %}",
    "{% include '../../../../etc/passwd' %}",
    "{% render '../../etc/passwd' %}",
    "{% layout '/etc/passwd' %}",
    "{% layout DB_USER %}{% block a %}{% endblock %}",
    "{% liquid\n include 'x' %}",
    "{% capture x %}a{% endcapture %}",
    "{% increment x %}",
    "{% cycle 'a', 'b' %}",
    "{% tablerow i in LIST %}{% endtablerow %}",
    "{% echo DB_USER %}",
    "{{ 'now' | date: '%s' }}",
    "{{ DB_USER | date: '%9999999999Y' }}",
    "{{ DB_USER | slice: 0, 1000000000 }}",
    "{{ DB_USER | sample }}",
    "{{ DB_USER | strip_html }}",
  ];
  test.each(reaching)("cannot reach beyond its variables: %s", (template) => {
    expect(within(100, () => render(template, big))).toHaveProperty("message");
  });

  test("assignments in a template pollute no prototype", () => {
    const template =
      "{% assign __proto__ = DB_USER %}{% assign constructor = 1 %}{% assign l = LIST | split: ',' %}{% for __proto__ in l %}{% endfor %}{{ __proto__ }}";
    expect(render(template)).toEqual({ text: "ada" });
    expect(({} as Record<string, unknown>).ada).toBeUndefined();
    expect({}.constructor).toBe(Object);
  });

  const exhausting: [string, string][] = [
    ["a loop over a range", "{% for i in (1..100000000) %}x{% endfor %}"],
    ["a range above 2^53, which never ends", "{% for i in (FAR..FARTHER) %}x{% endfor %}"],
    ["a range with a negative length", "{% for i in (100000000..1) %}{% endfor %}{{ (1..100000000) | join }}"],
    ["a range in a filter's argument", "{{ LIST | append: (1..100000000) }}"],
    ["a range in a property", "{{ data[(1..100000000)] }}"],
    ["a range in a condition", "{% if (1..100000000) contains 5 %}{% endif %}"],
    ["nested loops", `{% assign l = BIG | split: ',' %}${"{% for a in l %}".repeat(4)}${"{% endfor %}".repeat(4)}`],
    ["a text that doubles", `{% assign x = BIG %}${"{% assign x = x | append: x %}".repeat(40)}`],
    ["a text that doubles by prepending", `{% assign x = BIG %}${"{% assign x = x | prepend: x %}".repeat(40)}`],
    ["a replacement that multiplies", `{% assign x = BIG %}${"{% assign x = x | replace: 'a', x %}".repeat(20)}`],
    ["a replacement of the empty string by a long text", "{{ BIG | replace: '', BIG }}"],
    ["a join with a long text", "{{ BIG | split: '' | join: BIG }}"],
    ["JSON of JSON", `{{ BIG${" | json".repeat(30)} }}`],
    ["escapes of escapes", `{{ BIG | replace: ',', '&'${" | escape".repeat(30)} }}`],
    ["URLs of URLs", `{{ BIG${" | url_encode".repeat(30)} }}`],
    [
      "a search in every iteration",
      "{% assign l = BIG | split: ',' %}{% for a in l %}{% if BIG contains 'zz' %}{% endif %}{% endfor %}",
    ],
    [
      "a comparison in every iteration",
      "{% assign b = BIG | append: '' %}{% assign l = BIG | split: ',' %}{% for a in l %}{% if BIG == b %}{% endif %}{% endfor %}",
    ],
    [
      "a copy in every iteration",
      "{% assign m = BIG | split: '' %}{% assign l = BIG | split: ',' %}{% for a in l %}{% for b in m reversed limit: 1 %}{% endfor %}{% endfor %}",
    ],
    ["a long output in every iteration", "{% assign l = BIG | split: ',' %}{% for a in l %}{{ BIG }}{% endfor %}"],
    ["deeply nested tags", `${"{% if true %}".repeat(4_000)}${"{% endif %}".repeat(4_000)}`],
    ["a long name", `{{ DB_USER${".a".repeat(30_000)} }}`],
    ["deeply nested names", `{{ ${"data[".repeat(10_000)}NAME${"]".repeat(10_000)} }}`],
  ];
  test.each(exhausting)("has a bounded cost: %s", (_, template) => {
    const result = within(150, () => render(template, big));
    expect(result).toHaveProperty("message");
    expect((result as { message: string }).message.length).toBeLessThan(1_000);
  });

  test.each([
    "{{",
    "{%",
    "{{ A ",
    "{% if ",
    "{% raw %}",
    "{% comment %}",
    "'",
    "{{ '",
    "-",
    "{{-",
    "}}",
    "| a",
    "[",
    "{% for i in x %}",
  ])("64 KiB of %j are handled quickly", (piece) => {
    within(500, () => render(piece.repeat(Math.floor(65_536 / piece.length))));
  });

  test("the templates of one Secret share one budget", () => {
    const loop = "{% assign l = BIG | split: ',' %}{% for a in l limit: 20000 %}{% assign b = a %}{% endfor %}";
    const sources = new Map([["BIG", Buffer.from("a,".repeat(20_000))]]);
    const { problems } = renderTemplates({ data: { a: loop, b: loop, c: loop } }, sources);
    expect(problems.map(({ message }) => message)).toEqual([
      "target.template.data (b): the templates take too many steps; make their loops shorter",
      "target.template.data (c): the templates take too many steps; make their loops shorter",
    ]);
  });

  test("an ordinary large template is rendered", () => {
    const template = "key: {{ DB_USER | json }}\n".repeat(1_000);
    expect(render(template)).toEqual({ text: 'key: "ada"\n'.repeat(1_000) });
  });
});

test("renders any template or refuses it without quoting a value", () => {
  const pieces = fc.constantFrom(
    ...[
      "{{ ",
      " }}",
      "{% ",
      " %}",
      "PIN",
      "DB_USER",
      "data",
      "[",
      "]",
      ".",
      " | ",
      "append: ",
      "split: ''",
      "json",
      "base64_decode",
      "url_decode",
      "if ",
      "endif",
      "for i in ",
      "endfor",
      "assign x = ",
      "x",
      "i",
      "'",
      '"',
      "(",
      "..",
      ")",
      "1",
      ",",
      "-",
      "\n",
      "case ",
      "when ",
      "endcase",
      " contains ",
      " == ",
      "size",
      "nope",
    ],
  );
  fc.assert(
    fc.property(fc.array(pieces, { maxLength: 24 }), (parts) => {
      const result = render(parts.join(""));
      if ("message" in result) expect(result.message).not.toContain(canary);
    }),
    { numRuns: 5_000 },
  );
});

describe("a key may have any name", () => {
  const names = [
    "data",
    "size",
    "first",
    "last",
    "forloop",
    "length",
    "blank",
    "empty",
    "true",
    "nil",
    "contains",
    "and",
  ];
  test.each([...names, "or", "not", "in", "then", "toJSON", "-", "0", "A.B", ...inherited])("%s", (name) => {
    const sources = new Map([
      [name, Buffer.from("value")],
      ["user", Buffer.from("two")],
    ]);
    const template = `{{ user }} {{ data["${name}"] }} {% for pair in data %}{{ pair[0] }}={{ pair[1] }};{% endfor %}`;
    const { data, problems } = renderTemplates({ data: { url: template } }, sources);
    expect(problems).toEqual([]);
    expect(Buffer.from(data.get("url")!).toString()).toBe(`two value ${name}=value;user=two;`);
  });
});
