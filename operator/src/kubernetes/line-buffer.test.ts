import { describe, expect, it } from "vitest";
import { LineBuffer } from "./line-buffer.ts";

const pushed = (...chunks: readonly string[]) => {
  const buffer = new LineBuffer();
  return [chunks.flatMap((chunk) => buffer.push(Buffer.from(chunk))), buffer.rest(), buffer.restBytes];
};

describe("a buffer of lines", () => {
  it("gives each line when its end has come, and keeps what has none", () => {
    expect(pushed("a\nb", "c\n\nd", "", "e")).toEqual([["a", "bc", ""], "de", 2]);
  });

  it("keeps a character together whose bytes come apart", () => {
    const buffer = new LineBuffer();
    const [first, second] = [Buffer.from("é\n").subarray(0, 1), Buffer.from("é\n").subarray(1)];
    expect([buffer.push(first), buffer.push(second)]).toEqual([[], ["é"]]);
  });

  // Joined anew with every piece, this line would be half a terabyte of copying.
  it("takes in a long line in small pieces without looking at any twice", () => {
    const buffer = new LineBuffer();
    const piece = Buffer.alloc(256, "x");
    for (let count = 0; count < 65_536; count += 1) buffer.push(piece);
    expect(buffer.restBytes).toBe(16 * 1024 * 1024);
    expect(buffer.push(Buffer.from("\n")).map((line) => line.length)).toEqual([16 * 1024 * 1024]);
  });
});
