import { expect, test } from "vitest";
import { expand } from "./expansion.ts";

const variables = new Map([
  ["A", "1"],
  ["EMPTY", ""],
  ["REFERENCE", "$(A)"],
]);

test.each([
  ["a variable", "$(A)", "1"],
  ["several, with text around them", "x$(A)-$(A)y", "x1-1y"],
  ["a variable that is empty", "<$(EMPTY)>", "<>"],
  ["an unknown variable as it stands", "$(B)", "$(B)"],
  ["an escaped reference as text", "$$(A)", "$(A)"],
  ["an escaped dollar before a reference", "$$$(A)", "$1"],
  ["a lone dollar as it stands", "cost: 5$ or $A", "cost: 5$ or $A"],
  ["a reference in a value once only", "$(REFERENCE)", "$(A)"],
])("expands %s", (_, text, expected) => {
  expect(expand(text, variables)).toBe(expected);
});
