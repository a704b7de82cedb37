import { search } from "@jmespath-community/jmespath";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { evaluate } from "../../src/values/jmespath.ts";
import { parseJson, textOfJson } from "../../src/values/json.ts";
import { canary, inherited, outcome, refusal, within } from "./support.ts";

const take = (expression: string, json: string) => textOfJson(evaluate(expression, parseJson(json)));

const document = `{
  "user": {"name": "ada", "id": 12345678901234567890, "roles": ["admin", "ops"], "empty": ""},
  "hosts": [
    {"name": "b", "port": 5432, "weight": 1.50, "tags": ["x", "y"]},
    {"name": "a", "port": 5433, "weight": 1.5, "tags": []},
    {"name": "c", "port": 80, "weight": 0.1, "tags": ["x"]}
  ],
  "with space": true, "nothing": null
}`;

describe("an expression returns", () => {
  test.each<[string, string, string | null]>([
    ["a property", "user.name", "ada"],
    ["a number with every digit", "user.id", "12345678901234567890"],
    ["a boolean", '"with space"', "true"],
    ["an object as JSON", "user", '{"name":"ada","id":12345678901234567890,"roles":["admin","ops"],"empty":""}'],
    ["nothing for null", "nothing", null],
    ["nothing for a missing property", "user.age.years", null],
    ["nothing for a property of a number", "user.id.value", null],
    ["an element", "hosts[0].name", "b"],
    ["an element from the end", "hosts[-1].port", "80"],
    ["nothing past the end", "hosts[9]", null],
    ["a slice", "hosts[:2].name", '["b","a"]'],
    ["a slice backwards", "hosts[::-1].name", '["c","a","b"]'],
    ["every second element", "hosts[::2].port", "[5432,80]"],
    ["a projection without its nulls", "hosts[*].tags[0]", '["x","x"]'],
    ["values", "user.*", '["ada",12345678901234567890,["admin","ops"],""]'],
    ["a flattened projection", "hosts[].tags[]", '["x","y","x"]'],
    ["items that match a filter", "hosts[?name=='a'].port | [0]", "5433"],
    ["items that match a filter by number, however it is written", "hosts[?weight == `1.5`].name", '["b","a"]'],
    ["items that match a filter by order", "hosts[?port >= `5432` && weight < `2`].name", '["b","a"]'],
    ["items that match a filter with ! and ||", "hosts[?!(name=='a') || tags].name", '["b","c"]'],
    ["nothing for strings compared by order", "user.name > 'a'", null],
    ["whether two values differ", "hosts[0].tags != hosts[2].tags", "true"],
    ["that an object with more members is not equal", '`{"a": 1}` == `{"a": 1, "b": 2}`', "false"],
    ["that objects are equal in any order of keys", '`{"a": 1, "b": 2}` == `{"b": 2, "a": 1}`', "true"],
    ["that a string does not equal a number", "user.id == '12345678901234567890'", "false"],
    ["nothing for a function on a missing property", "nothing.type(@)", null],
    ["a list", "hosts[*].[name, port]", '[["b",5432],["a",5433],["c",80]]'],
    ["an object", "user.{n: name, id: id}", '{"n":"ada","id":12345678901234567890}'],
    ["a literal", '`[1, {"a": 1.5}]`', '[1,{"a":1.5}]'],
    ["the first operand that is not empty", "user.empty || user.none || user.name", "ada"],
    ["the second operand of &&", "user.name && user.id", "12345678901234567890"],
    ["the root", "hosts[0].[$.user.name]", '["ada"]'],
    ["a property of the current node", "@.user.name", "ada"],
  ])("%s", (_, expression, text) => {
    expect(take(expression, document)).toBe(text);
  });
});

describe("a function", () => {
  test.each<[string, string | null]>([
    ["contains(user.roles, 'ops')", "true"],
    ["contains(hosts[*].weight, `1.5`)", "true"],
    ["contains(user.name, 'd')", "true"],
    ["contains(user.name, `1`)", "false"],
    ["ends_with(user.name, 'da')", "true"],
    ["starts_with(user.name, 'da')", "false"],
    ["join('-', user.roles)", "admin-ops"],
    ["keys(user)", '["name","id","roles","empty"]'],
    ["values(user.{a: id})", "[12345678901234567890]"],
    ["length(user.roles)", "2"],
    ["length('a\u{1F600}')", "2"],
    ["length(user)", "4"],
    ["map(&port, hosts)", "[5432,5433,80]"],
    ["max(hosts[*].port)", "5433"],
    ["max(hosts[*].name)", "c"],
    ["max(`[]`)", null],
    ["max_by(hosts, &weight).name", "b"],
    ["min(hosts[*].weight)", "0.1"],
    ["min_by(hosts, &port).name", "c"],
    ["merge(user.{a: name, b: id}, {b: user.name})", '{"a":"ada","b":"ada"}'],
    ["not_null(user.none, user.name)", "ada"],
    ["not_null(user.none)", null],
    ["reverse(user.roles)", '["ops","admin"]'],
    ["reverse('a\u{1F600}')", "\u{1F600}a"],
    ["sort(hosts[*].port)", "[80,5432,5433]"],
    ["sort(hosts[*].name)", '["a","b","c"]'],
    ['sort(`["\u{1F600}", "\uffee"]`)', '["\uffee","\u{1F600}"]'],
    ["sort_by(hosts, &weight)[*].name", '["c","b","a"]'],
    ["to_array(user.id)", "[12345678901234567890]"],
    ["to_array(user.roles)", '["admin","ops"]'],
    ["to_number('1.50')", "1.50"],
    ["to_number('0x10')", null],
    ["to_number(user.id)", "12345678901234567890"],
    ["to_string(user.id)", "12345678901234567890"],
    ["to_string(user.roles)", '["admin","ops"]'],
    ["to_string(nothing)", "null"],
    ["type(user.id)", "number"],
    ["type(nothing)", "null"],
    ["type(user.roles)", "array"],
    ["type(user)", "object"],
  ])("%s", (expression, text) => {
    expect(take(expression, document)).toBe(text);
  });
});

describe("refuses an invalid expression without quoting the document", () => {
  test.each<[string, string]>([
    ["a..b", "it is not a JMESPath expression"],
    ["with space", "it is not a JMESPath expression"],
    ["", "it is not a JMESPath expression"],
    ['"a', "it is not a JMESPath expression"],
    ["a[", "it is not a JMESPath expression"],
    ["sum(hosts[*].port)", "it calls sum(), which there is not"],
    ["constructor(@)", "it calls constructor(), which there is not"],
    ["length(user.id)", "argument 1 of length() is not an object"],
    ["join(',', hosts)", "argument 2 of join() is not an array of strings"],
    ["sort(values(user))", "argument 1 of sort() is not an array of strings or of numbers"],
    ['sort(`["a", 1]`)', "argument 1 of sort() is not an array of strings or of numbers"],
    ["sort_by(hosts, name)", "argument 2 of sort_by() is not an expression"],
    ["type(&user)", "argument 1 of type() is not a value"],
    ["length()", "length() takes 1 arguments"],
    ["merge()", "merge() takes at least 1 arguments"],
    ["hosts[::0]", "a slice cannot have the step 0"],
    ["let $a = user in $a", "it uses what JMESPath has not"],
    ["user ? 'a' : 'b'", "it uses what JMESPath has not"],
    ["user.id + `1`", "it uses what JMESPath has not"],
    ["-user.id", "it uses what JMESPath has not"],
    ["&user", "it uses what JMESPath has not"],
    ["`12345678901234567890`", "a number in it has more digits than can be kept"],
    ["`[1e999]`", "a number in it has more digits than can be kept"],
  ])("%s", (expression, message) => {
    expect(refusal(() => take(expression, document))).toContain(`jmesPath ${expression}: ${message}`);
  });

  test("an expression over 1,024 characters, which is not quoted", () => {
    expect(refusal(() => take("a".repeat(1_025), "{}"))).toBe(
      "jmesPath has 1025 characters, and at most 1024 are allowed",
    );
  });
});

describe("names of Object.prototype are ordinary names", () => {
  test.each(inherited)("%s is not found if the document lacks it", (name) => {
    for (const expression of [
      name,
      `"${name}".name`,
      `\`{}\`.${name}`,
      `{a: @}.${name}`,
      `merge(@, @).${name}`,
      `'a'.${name}`,
      `\`1\`.${name}`,
    ]) {
      expect(take(expression, "{}")).toBeNull();
    }
  });

  test.each(inherited)("%s is found and kept if the document has it", (name) => {
    expect(take(name, `{"${name}": "own"}`)).toBe("own");
    expect(take(`{${name}: a}`, '{"a": 1}')).toBe(`{"${name}":1}`);
    expect(take(`merge({${name}: a}, {b: a})`, '{"a": 1}')).toBe(`{"${name}":1,"b":1}`);
    expect(take(`\`{"${name}": 1}\``, "{}")).toBe(`{"${name}":1}`);
  });

  test("an object shaped like a parsed expression is data", () => {
    expect(
      refusal(() => take("map(@.f, @.l)", '{"f": {"expref": true, "type": "Field", "name": "a"}, "l": [{"a": 1}]}')),
    ).toContain("argument 1 of map() is not an expression");
  });
});

describe("the cost is bounded", () => {
  const items = `[${Array(120).fill('{"a":"some text"}')}]`;
  test.each([
    "[].{a: $[].{b: $[].{c: $[]}}}",
    "[].[$, $, $][].[$, $, $][].[$, $, $]",
    "[?$[?$[?$]]]",
    "[].to_string([$, $, $, $, $, $, $, $])",
    "[].join('', $[].to_string(@)) | [].[@, @, @]",
    "[?contains($, {a: `1`})] | [?contains($, {a: `1`})]",
    "[].sort_by($, &join('', [a, a, a]))",
    "[].[merge(@, {b: $}), merge(@, {b: $})]",
    "map(&map(&map(&@, $), $), $)",
    "[".repeat(500),
    `${"[".repeat(500)}@${"]".repeat(500)}`,
    `${"(".repeat(500)}@${")".repeat(500)}`,
    "!".repeat(1_000),
    `${"!".repeat(1_000)}a`,
    `\`${"[".repeat(500)}${"]".repeat(500)}\``,
    `a${".a".repeat(500)}`,
    `[]${"[]".repeat(500)}`,
    `[*]${".[@]".repeat(250)}`,
  ])("%s on 120 items", (expression) => {
    within(250, () => outcome(() => take(expression, items)));
  });

  test.each([
    "sort(@)",
    "contains(@, 'zz')",
    "join('', @)",
    "[?@ == 's5'] | length(@)",
    "[?contains($, @)]",
    "reverse(@)[0]",
  ])("%s on 100,000 items", (expression) => {
    const many = parseJson(`[${Array.from({ length: 100_000 }, (_, index) => `"s${index % 977}"`)}]`);
    within(250, () => outcome(() => evaluate(expression, many)));
  });

  test.each([
    [
      "a text made in every iteration",
      "[*].to_string($) | length(@)",
      `[${Array(120).fill(`"${"x".repeat(1_000)}"`)}]`,
    ],
    ["a join in every iteration", "[*].join('', $) | length(@)", `[${Array(120).fill(`"${"x".repeat(1_000)}"`)}]`],
    ["a copy in every iteration", "[*].[reverse($)] | length(@)", `[${Array(2_000).fill("1")}]`],
    ["a flattening in every iteration", "[*].[$[]] | length(@)", `[${Array(2_000).fill("1")}]`],
    ["a slice in every iteration", "[*].[$[:]] | length(@)", `[${Array(2_000).fill("1")}]`],
    ["a sort in every iteration", "[*].[sort($)] | length(@)", `[${Array(300).fill('"a text"')}]`],
  ])("%s is counted", (_, expression, json) => {
    expect(within(250, () => refusal(() => take(expression, json)))).toContain("it takes too many steps");
  });

  test("counts arrays before it flattens them", () => {
    const many = parseJson(`[${Array(10_000).fill("1")}]`);
    const evaluateIt = () => evaluate(`[${Array(400).fill("$")}][] | length(@)`, many);
    expect(within(20, () => refusal(evaluateIt))).toContain("it takes too many steps");
  });

  test("refuses a result that grows with every projection", () => {
    expect(refusal(() => take("[].{a: $[].{b: $[].{c: $}}}", items))).toContain("it takes too many steps");
    expect(refusal(() => take("[].[$, $][]", `[${Array(100).fill(`"${"x".repeat(1_000)}"`)}]`))).toContain(
      "has over 1 MiB",
    );
    expect(refusal(() => take(`${"[".repeat(101)}@${"]".repeat(101)}`, "[]"))).toContain("nested over 100 levels deep");
  });
});

test("any expression of the grammar returns what the reference evaluation returns", () => {
  // Only small integers, which are exact as doubles, and no name of Object.prototype.
  const value = fc.letrec((tie) => ({
    value: fc.oneof(
      { maxDepth: 3 },
      fc.integer({ min: -9, max: 9 }),
      fc.constantFrom("", "a", "b", "zz"),
      fc.boolean(),
      fc.constant(null),
      fc.array(tie("value"), { maxLength: 4 }),
      fc.dictionary(fc.constantFrom("a", "b", "c"), tie("value"), { maxKeys: 3 }),
    ),
  })).value;
  const expression = fc.letrec<{ expression: string }>((tie) => {
    const inner = tie("expression");
    const pair = fc.tuple(inner, inner);
    return {
      expression: fc.oneof(
        { maxDepth: 4, withCrossShrink: true },
        fc.constantFrom("a", "b", "c", "@", "'a'", "`1`", '`{"a": [1, 2]}`', "`null`", "`[]`"),
        pair.map(([left, right]) => `${left} | ${right}`),
        pair.map(([left, right]) => `(${left}) == (${right})`),
        pair.map(([left, right]) => `(${left}) != (${right})`),
        pair.map(([left, right]) => `(${left}) < (${right})`),
        pair.map(([left, right]) => `(${left}) >= (${right})`),
        pair.map(([left, right]) => `(${left}) || (${right})`),
        pair.map(([left, right]) => `(${left}) && (${right})`),
        pair.map(([left, right]) => `(${left})[?${right}]`),
        pair.map(([left, right]) => `(${left}).[${right}, @]`),
        pair.map(([left, right]) => `(${left}).{a: ${right}, c: @}`),
        inner.map((each) => `!(${each})`),
        fc
          .tuple(
            inner,
            fc.constantFrom(".a", ".b", "[0]", "[-1]", "[]", "[*]", ".*", "[].a", "[*].b", "[*][0]", ".*.a", "[][]"),
          )
          .map(([left, right]) => `(${left})${right}`),
        // Slice only arrays: the reference also slices strings, which the AWS tools do not.
        fc
          .tuple(inner, fc.constantFrom("[1:]", "[:-1]", "[::2]", "[::-1]", "[2:0:-1]", "[-2:].a"))
          .map(([left, right]) => `to_array(${left})${right}`),
        inner.map((each) => `type(${each})`),
        inner.map((each) => `to_array(${each})`),
        pair.map(([left, right]) => `not_null(${left}, ${right})`),
        pair.map(([left, right]) => `map(&${right}, to_array(${left}))`),
      ),
    };
  }).expression;
  fc.assert(
    fc.property(value, expression, (data, path) => {
      const mine = outcome(() => textOfJson(evaluate(path, parseJson(JSON.stringify(data)))));
      const reference = search(data as never, path);
      expect(mine).toEqual(reference === null || typeof reference === "string" ? reference : JSON.stringify(reference));
    }),
    { numRuns: 3_000 },
  );
});

test("evaluates any text or refuses it without quoting the document", () => {
  const pieces = fc.constantFrom(
    "a",
    ".",
    "[",
    "]",
    "*",
    "?",
    "(",
    ")",
    "&",
    "|",
    "!",
    "@",
    "$",
    ",",
    ":",
    "{",
    "}",
    "`",
    "'",
    '"',
    "1",
    "-",
    "==",
    "<",
    "sort_by",
    "to_string",
    "join",
    "length",
    "\\",
    " ",
  );
  const data = parseJson(`{"a": ["${canary}", {"a": "${canary}"}, 1.0]}`);
  fc.assert(
    fc.property(fc.array(pieces, { maxLength: 20 }), (parts) => {
      const result = outcome(() => evaluate(parts.join(""), data));
      if (typeof result === "object" && result && "message" in result) expect(result.message).not.toContain(canary);
    }),
    { numRuns: 3_000 },
  );
});
