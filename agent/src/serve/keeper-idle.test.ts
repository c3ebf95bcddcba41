import { expect, test } from "vitest";
import { whileIdle } from "./keeper-idle.ts";

const never = new AbortController().signal;

/** Work that ends only when it is told to. */
const endless = (signal: AbortSignal) =>
  new Promise<never>((_, reject) => {
    if (signal.aborted) reject(signal.reason);
    signal.addEventListener("abort", () => reject(signal.reason));
  });

/** Says yes when it is asked for the third time. */
function thirdTime() {
  let asked = 0;
  return async () => {
    asked += 1;
    if (asked === 1) throw new Error("nobody knows");
    return asked === 3;
  };
}

const idle = { signal: never, leisure: never, isWanted: async () => false, everyMs: 1 };

test("what can wait is done where nothing else comes up", async () => {
  expect(await whileIdle(async () => "done", idle)).toBe("done");
});

test("what can wait fails as it fails", async () => {
  await expect(whileIdle(() => Promise.reject(new Error("broken")), idle)).rejects.toThrow("broken");
});

test("what can wait is broken off when something else is wanted, though it cannot always be asked", async () => {
  expect(await whileIdle(endless, { ...idle, isWanted: thirdTime() })).toBeNull();
});

test("what can wait is broken off when there is no leisure for it", async () => {
  expect(await whileIdle(endless, { ...idle, leisure: AbortSignal.abort() })).toBeNull();
});

test("what can wait ends with its process, and that is told", async () => {
  const signal = AbortSignal.abort(new Error("stopped"));
  await expect(whileIdle(endless, { ...idle, signal })).rejects.toThrow("stopped");
});
