import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseStrictJson } from "./strict-json.ts";

describe("strict JSON", () => {
  test.each([
    { what: "a member twice", text: '{"a":1,"a":1}', rule: 'a member may appear once: "a"' },
    { what: "a member twice, once escaped", text: '{"a":1,"\\u0061":1}', rule: 'a member may appear once: "a"' },
    { what: "__proto__", text: '{"__proto__":{}}', rule: "no member may be named __proto__" },
    { what: "an escaped __proto__", text: '{"\\u005f_proto__":{}}', rule: "no member may be named __proto__" },
    { what: "a lone surrogate", text: '"\\ud800"', rule: "a string must be well-formed Unicode" },
    { what: "deep nesting", text: "[".repeat(100), rule: "values may nest 32 deep" },
    { what: "text after the value", text: "{} {}", rule: "nothing may follow the value" },
    { what: "a number beyond doubles", text: "1e999", rule: "a number must be finite" },
    { what: "a leading zero", text: "01", rule: "nothing may follow the value" },
    { what: "a raw control character", text: '"\n"', rule: "a string may hold only what JSON allows there" },
    { what: "an unknown escape", text: '"\\x41"', rule: "a string may hold only what JSON allows there" },
    { what: "a string that is not closed", text: '"\\"', rule: "a string must be closed" },
    { what: "a trailing comma", text: "[1,]", rule: "a value is expected" },
    { what: "a name without quotes", text: "{a:1}", rule: "a string must be quoted" },
    { what: "nothing", text: "", rule: "a value is expected" },
    { what: "NaN", text: "NaN", rule: "a value is expected" },
  ])("refuses $what", ({ text, rule }) => {
    expect(() => parseStrictJson(text)).toThrow(`Cannot read JSON because ${rule}: seen at offset`);
  });

  test("reads what JSON.parse reads, spaces and escapes included", () => {
    const property = fc.property(fc.json({ stringUnit: "binary" }), fc.constantFrom(0, 1, 4), (text, indent) => {
      fc.pre(!text.includes("__proto__") && !/\\ud[89a-f]/i.test(text));
      const spaced = JSON.stringify(JSON.parse(text), null, indent);
      expect(parseStrictJson(spaced)).toEqual(JSON.parse(spaced));
    });
    fc.assert(property, { numRuns: 500 });
  });

  test("refuses or reads alike whatever JSON.parse is given after one character has changed", () => {
    let refused = 0;
    const property = fc.property(fc.json(), fc.nat(), fc.string({ minLength: 1, maxLength: 1 }), (text, at, by) => {
      const index = at % text.length;
      const changed = text.slice(0, index) + by + text.slice(index + 1);
      const ours = attempt(() => parseStrictJson(changed));
      const theirs = attempt(() => JSON.parse(changed));
      if (ours.refused) refused += 1;
      else expect(ours.value).toEqual(theirs.value);
      if (theirs.refused) expect(ours.refused).toBe(true);
    });
    fc.assert(property, { numRuns: 1000 });
    expect(refused).toBeGreaterThan(100);
  });
});

function attempt(read: () => unknown): { refused: boolean; value?: unknown } {
  try {
    return { refused: false, value: read() };
  } catch {
    return { refused: true };
  }
}
