import { expect, test } from "vitest";
import { crc32c } from "./crc32c.ts";
import { frame } from "./record.ts";

const ascending = Uint8Array.from({ length: 32 }, (_, at) => at);

// RFC 3720, appendix B.4, and the check value of the CRC catalogue.
test.each([
  ["32 bytes of zeroes", new Uint8Array(32), 0x8a9136aa],
  ["32 bytes of ones", new Uint8Array(32).fill(0xff), 0x62a8ab43],
  ["32 bytes ascending", ascending, 0x46dd794e],
  ["32 bytes descending", ascending.toReversed(), 0x113fdb5c],
  ["the digits 1 to 9", Buffer.from("123456789"), 0xe3069283],
])("the sum of %s is the published one", (_, bytes, sum) => {
  expect(crc32c(bytes)).toBe(sum);
});

test("a record of 24 bytes begins as every event file of TensorFlow does", () => {
  expect(Buffer.from(frame(new Uint8Array(24)).subarray(0, 12)).toString("hex")).toBe("1800000000000000a37f4b22");
});
