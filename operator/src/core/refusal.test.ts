import { describe, expect, test } from "vitest";
import { condition, decideOn, held, kinds } from "../../test/observed-builder.ts";
import { at } from "../../test/pod-builder.ts";
import { runWith, start } from "../../test/run-builder.ts";
import type { CreateRefusal } from "./observed.ts";

const run = runWith({
  metadata: { ...held, generation: 3 },
  status: { attempt: 1, attempts: [{ number: 1, generation: 3, pods: [], startTime: at(0) }] },
});

/** Refused first at the start, and last after so many seconds. */
const refusedFor = (seconds: number, fields: Partial<CreateRefusal> = {}): CreateRefusal => ({
  kind: "Pod",
  name: "mnist-1-0",
  status: 403,
  reason: "Forbidden",
  message: "exceeded quota: gpus",
  at: start + seconds * 1000,
  firstAt: start,
  inVainSince: start,
  generation: 3,
  ...fields,
});

/** So long after its last refusal the creation is tried again. */
function pauseOf(refusal: CreateRefusal): number {
  const { requeueAfterMs = 0, actions } = decideOn({ run, refusals: [refusal], now: refusal.at });
  expect(actions).toEqual([]);
  const tried = decideOn({ run, refusals: [refusal], now: refusal.at + requeueAfterMs });
  expect(kinds(tried)).toEqual(["CreatePod"]);
  return requeueAfterMs / 1000;
}

describe("a creation that is refused", () => {
  test.each([
    ["at first", 0, 15],
    ["for a while", 40, 40],
    ["for long", 3600, 300],
  ])("%s is tried again after as long as it has been refused already", (_, seconds, pause) => {
    expect(pauseOf(refusedFor(seconds))).toBe(pause);
  });

  test("is tried as if newly refused where room may have come, and ever more rarely from there", () => {
    expect(pauseOf(refusedFor(3600, { inVainSince: start + 3_650_000 }))).toBe(15);
    expect(pauseOf(refusedFor(3700, { inVainSince: start + 3_650_000 }))).toBe(50);
  });

  test("is tried 17 times in the first hour and 12 times in every other", () => {
    let refused = refusedFor(0);
    const tries: number[] = [0];
    while ((tries.at(-1) ?? 0) < 7200) {
      refused = refusedFor((refused.at - start) / 1000 + pauseOf(refused));
      tries.push((refused.at - start) / 1000);
    }
    expect(tries.slice(0, 8)).toEqual([0, 15, 30, 60, 120, 240, 480, 780]);
    expect([tries.filter((at) => at < 3600).length, tries.filter((at) => at >= 3600 && at < 7200).length]).toEqual([
      17, 12,
    ]);
  });

  test("is tried at once where the run was edited since, and says meanwhile what it said", () => {
    const edited = decideOn({ run, refusals: [refusedFor(3600, { generation: 2 })], now: start + 3_600_000 });
    expect(kinds(edited)).toEqual(["CreatePod"]);
    const words = { reason: "QuotaExceeded", message: expect.stringContaining("exceeded quota: gpus") };
    expect(condition(edited, "Progressing")).toMatchObject(words);
  });
});
