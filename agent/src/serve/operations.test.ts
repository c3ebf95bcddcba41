import { FencedError } from "@trainingrun/checkpoint/log/append.ts";
import { ObjectStoreError } from "@trainingrun/checkpoint/store/object/object-store-error.ts";
import { StorageUnavailableError } from "@trainingrun/checkpoint/store/store.ts";
import { SourceDamagedError } from "@trainingrun/checkpoint/tiers/mirror.ts";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { type Operation, Operations } from "./operations.ts";

let nowMs = 0;
let counted: Operation[] = [];
let operations: Operations;

beforeEach(() => {
  vi.spyOn(console, "error").mockReturnValue(undefined);
  nowMs = 0;
  counted = [];
  operations = new Operations(
    (operation) => counted.push(operation),
    () => nowMs,
  );
});
afterEach(() => vi.restoreAllMocks());

function systemError(code: string): Error {
  return Object.assign(new Error(`${code}: it failed`), { code });
}

function failing(error: unknown) {
  return operations.attempt("verify", "blake3:a", () => Promise.reject(error));
}

test.each([
  ["a full volume", new StorageUnavailableError("full", { cause: systemError("ENOSPC") }), "VolumeFull"],
  // As Node says it: libuv has no name for EDQUOT.
  ["a spent quota", systemError("Unknown system error -122"), "VolumeFull"],
  ["a read-only volume", systemError("EROFS"), "VolumeReadOnly"],
  ["missing rights", systemError("EACCES"), "VolumeForbidden"],
  ["any other storage error", new StorageUnavailableError("gone", { cause: systemError("EIO") }), "StorageUnavailable"],
  ["an object store's own word", new ObjectStoreError("CredentialsExpired", "expired"), "CredentialsExpired"],
  ["a copy that changed on the volume", new SourceDamagedError("differs"), "SourceDamaged"],
  ["a defect", new TypeError("x is undefined"), "Type"],
  ["what is no error at all", "odd", "AgentFailure"],
])("%s is a present problem until the operation succeeds", async (_what, error, reason) => {
  expect(await failing(error)).toBeNull();
  expect(operations.problems).toMatchObject([{ reason }]);
  expect(counted).toEqual(["verify"]);
  expect(await operations.attempt("verify", "blake3:a", async () => 7)).toBe(7);
  expect(operations.problems).toEqual([]);
});

test("pauses double up to a minute, and end with a success", async () => {
  const pauses = [];
  for (let failure = 0; failure < 8; failure += 1) {
    await failing(systemError("EIO"));
    const from = nowMs;
    while (operations.pausing("verify", "blake3:a")) nowMs += 500;
    pauses.push((nowMs - from) / 1000);
  }
  expect(pauses).toEqual([1, 2, 4, 8, 16, 32, 60, 60]);
  await operations.attempt("verify", "blake3:a", async () => null);
  await failing(systemError("EIO"));
  nowMs += 1000;
  expect(operations.pausing("verify", "blake3:a")).toBe(false);
});

test("what waits for its retry can be told to try now, and goes on doubling", async () => {
  for (let failure = 0; failure < 3; failure += 1) await failing(systemError("EIO"));
  expect(operations.pausing("verify", "blake3:a")).toBe(true);
  operations.retryNow();
  expect(operations.pausing("verify", "blake3:a")).toBe(false);
  await failing(systemError("EIO"));
  nowMs += 7_999;
  expect(operations.pausing("verify", "blake3:a")).toBe(true);
});

test("being told to stop is no failure, and being fenced goes up", async () => {
  expect(await failing(AbortSignal.abort().reason)).toBeNull();
  expect(await failing(new ObjectStoreError("Stopped", "this process is ending"))).toBeNull();
  expect([operations.problems, counted]).toEqual([[], []]);
  const by = { attempt: 2, podUid: "p", node: "n", base: null, generation: 1, number: 3, time: "2030-01-01T12:00:00Z" };
  await expect(failing(new FencedError("attempt 2 is open", by))).rejects.toThrow("attempt 2 is open");
});

test("one problem of many subjects is told once, and what is gone is forgotten", async () => {
  await failing(systemError("ENOSPC"));
  await operations.attempt("refuse", "blake3:b", () => Promise.reject(systemError("ENOSPC")));
  expect(operations.problems).toHaveLength(1);
  operations.forget((subject) => subject.startsWith("blake3:"));
  expect(operations.problems).toEqual([]);
});
