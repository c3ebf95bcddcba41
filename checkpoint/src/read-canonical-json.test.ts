import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { canonicalJson } from "./canonical-json.ts";
import { readCanonicalJson } from "./read-canonical-json.ts";
import { parseStrictJson, StrictJsonError } from "./strict-json.ts";

/** What the strict parser and the canonical text of its value say, one after the other. */
function slowly(text: string): Readonly<{ value: unknown }> | null {
  const value = parseStrictJson(text);
  return canonicalJson(value) === text ? { value } : null;
}

function outcomeOf(read: () => unknown): unknown {
  try {
    return read();
  } catch (error) {
    return error instanceof StrictJsonError ? error.message : error;
  }
}

describe("reading canonical JSON", () => {
  test.each([
    { what: "a value", text: '{"a":[1,null],"b":{"c":"é"}}', value: { a: [1, null], b: { c: "é" } } },
    { what: "names that are numbers", text: '{"10":1,"9":2}', value: { 9: 2, 10: 1 } },
  ])("gives the value of the canonical text of $what", ({ text, value }) => {
    expect(readCanonicalJson(text)).toEqual({ value });
  });

  test.each([
    { what: "white space", text: '{"a": 1}' },
    { what: "members in another order", text: '{"b":1,"a":1}' },
    { what: "a number written otherwise", text: "[1.0]" },
    { what: "a needless escape", text: '"\\u0061"' },
    { what: "minus zero", text: "-0" },
  ])("gives nothing for a text with $what", ({ text }) => {
    expect(readCanonicalJson(text)).toBeNull();
  });

  test.each([
    { what: "a member twice", text: '{"a":1,"a":1}', rule: 'a member may appear once: "a"' },
    { what: "__proto__", text: '{"__proto__":{}}', rule: "no member may be named __proto__" },
    { what: "a lone surrogate", text: '"\\ud800"', rule: "a string must be well-formed Unicode" },
    { what: "deep nesting", text: `${"[".repeat(34)}${"]".repeat(34)}`, rule: "values may nest 32 deep" },
    { what: "a number beyond doubles", text: "1e999", rule: "a number must be finite" },
    { what: "text after the value", text: "{}{}", rule: "nothing may follow the value" },
  ])("refuses $what in the strict parser's words", ({ text, rule }) => {
    expect(() => readCanonicalJson(text)).toThrow(rule);
  });

  test("says of any text what the strict parser says, whichever character of it has changed", () => {
    const property = fc.property(
      fc.jsonValue({ maxDepth: 4, stringUnit: "binary" }).filter((value) => isWritable(value)),
      fc.nat(),
      fc.constantFrom("", '"', "{", "}", "[", "]", ",", ":", " ", "0", "1", "-", "e", "a", "\\", "\ud800"),
      (value, at, by) => {
        const text = canonicalJson(value);
        const changed = text.slice(0, at % text.length) + by + text.slice((at % text.length) + 1);
        for (const each of [text, changed]) {
          expect(outcomeOf(() => readCanonicalJson(each))).toEqual(outcomeOf(() => slowly(each)));
        }
      },
    );
    fc.assert(property, { numRuns: 200 });
  });
});

function isWritable(value: unknown): boolean {
  try {
    canonicalJson(value);
    return true;
  } catch {
    return false;
  }
}
