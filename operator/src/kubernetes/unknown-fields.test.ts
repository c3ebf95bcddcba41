import { expect, test } from "vitest";
import { unknownFieldsOf, unknownFieldWords } from "./unknown-fields.ts";

const told = 'unknown field "status.silence", unknown field "status.attempts[0].queue.group"';
const refusal = (object: string, words: string) => `Invalid value: ${JSON.stringify(object)}: ${words}`;

test.each<[string, { field?: string; message?: string }[], readonly string[]]>([
  [
    "are those that stand behind the object",
    [{ field: "patch", message: refusal('{"status":{"silence":1}}', `strict decoding error: ${told}`) }],
    ["status.silence", "status.attempts[0].queue.group"],
  ],
  [
    "are none that a text in the object speaks of",
    [{ field: "patch", message: refusal(JSON.stringify({ text: `": strict decoding error: ${told}` }), "bad") }],
    [],
  ],
  [
    "are none that somebody else speaks of",
    [{ field: "spec", message: refusal("x", `strict decoding error: ${told}`) }, { field: "patch" }],
    [],
  ],
  ["are none where no reason is given", [], []],
])("the unknown fields of a refusal %s", (_, causes, expected) => {
  expect(unknownFieldsOf(causes)).toEqual(expected);
});

test("the words for unknown fields are the server's, without the object", () => {
  expect(unknownFieldWords(["status.silence", "status.attempts[0].queue.group"])).toBe(
    `strict decoding error: ${told}`,
  );
});
