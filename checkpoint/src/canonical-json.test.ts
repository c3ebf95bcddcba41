import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { canonicalJson } from "./canonical-json.ts";
import { parseStrictJson } from "./strict-json.ts";

describe("canonical JSON", () => {
  test.each([
    {
      what: "sorts members by UTF-16 code units",
      value: { "\u20ac": 1, "\r": 2, "1": 3, "\ud83d\ude00": 4, "\ufb33": 5 },
      text: '{"\\r":2,"1":3,"€":1,"😀":4,"\ufb33":5}',
    },
    {
      what: "writes numbers as ECMAScript does",
      value: [1e21, 1e-7, -0, 4.5, 0.1 + 0.2],
      text: "[1e+21,1e-7,0,4.5,0.30000000000000004]",
    },
    { what: "escapes only what must be", value: '\u000f\n"\\/é', text: '"\\u000f\\n\\"\\\\/é"' },
    { what: "keeps no white space", value: { b: [true, null], a: {} }, text: '{"a":{},"b":[true,null]}' },
  ])("$what", ({ value, text }) => {
    expect(canonicalJson(value)).toBe(text);
  });

  test.each([
    { what: "NaN", value: { loss: Number.NaN }, because: "a number must be finite: NaN (at $.loss)" },
    { what: "undefined", value: { a: [undefined] }, because: "JSON has no undefined (at $.a[0])" },
    { what: "a hole in an array", value: new Array(1), because: "JSON has no undefined (at $[0])" },
    { what: "a bigint", value: 1n, because: "JSON has no bigint (at $)" },
    { what: "a date", value: new Date(0), because: "only plain objects have JSON (at $)" },
    { what: "a lone surrogate", value: "\ud800", because: "a string must be well-formed Unicode (at $)" },
    {
      what: "a member named __proto__",
      value: JSON.parse('{"__proto__":1}'),
      because: "no member may be named __proto__ (at $)",
    },
  ])("refuses $what", ({ value, because }) => {
    expect(() => canonicalJson(value)).toThrow(`Cannot write canonical JSON because ${because}`);
  });

  test("refuses an object that contains itself", () => {
    const loop: Record<string, unknown> = {};
    loop.self = loop;
    expect(() => canonicalJson(loop)).toThrow("values may nest 32 deep");
  });

  test("is read back as the value it was written from, and equal values have one text", () => {
    const property = fc.property(fc.jsonValue({ maxDepth: 4, stringUnit: "grapheme" }), (value) => {
      fc.pre(!JSON.stringify(value).includes("__proto__"));
      const text = canonicalJson(value);
      expect(parseStrictJson(text)).toEqual(JSON.parse(JSON.stringify(value)));
      expect(canonicalJson(JSON.parse(text))).toBe(text);
    });
    fc.assert(property, { numRuns: 500 });
  });
});
