import { describe, expect, test } from "vitest";
import { at } from "../../test/pod-builder.ts";
import { type Fields, runWith } from "../../test/run-builder.ts";
import type { Stop } from "../api/status.ts";
import { releaseDeadline, runDeletedReason } from "./deadline.ts";
import { instantOf } from "./instant.ts";

const deletedAt = 600;
const graceSeconds = 30;
const waitSeconds = graceSeconds + 60;
const unasked = { graceSeconds, deletionRequestedAt: null };
const stopAt = (seconds: number): Stop => ({ attempt: 1, cause: "RunDeleted", time: at(seconds) });
const told = {
  type: "Progressing",
  status: "False",
  reason: runDeletedReason,
  message: "words",
  lastTransitionTime: at(1),
};

/** So many seconds after its creation a deleted run is let go, of which this stands and this is decided. */
function letGo(
  stored: Fields,
  stop: Stop | undefined,
  alive: Parameters<typeof releaseDeadline>[2] = [unasked],
): number {
  const run = runWith({
    metadata: { deletionTimestamp: at(deletedAt) },
    spec: {
      template: {
        spec: { terminationGracePeriodSeconds: graceSeconds, containers: [{ name: "trainer", image: "i" }] },
      },
    },
    status: stored,
  });
  const status = stop === undefined ? {} : { stop };
  return (releaseDeadline(run, status, alive) - instantOf(at(0))) / 1000;
}

describe("a deleted run whose pod cannot be asked to stop is let go a grace period and a minute", () => {
  test("after the intent to, where that is on record", () => {
    expect(letGo({ stop: stopAt(5_000) }, stopAt(5_000))).toBe(5_000 + waitSeconds);
  });

  test("after the intent to, where it is new, however long nobody looked", () => {
    expect(letGo({}, stopAt(5_000))).toBe(5_000 + waitSeconds);
  });

  test("after its deletion, where nothing of it has to be stopped", () => {
    expect(letGo({}, undefined)).toBe(deletedAt + waitSeconds);
    expect(letGo({}, undefined, [])).toBe(deletedAt + waitSeconds);
  });

  test("after its deletion, where the intent cannot be kept and is decided anew in each pass (L5)", () => {
    for (const now of [601, 5_000, 50_000]) {
      expect(letGo({ conditions: [told] }, stopAt(now))).toBe(deletedAt + waitSeconds);
    }
  });

  test("a day after its deletion at the latest, where nothing at all can be kept (L5)", () => {
    expect(letGo({}, stopAt(1_000_000))).toBe(deletedAt + 86_400 + waitSeconds);
  });
});

test("each pod that was asked to stop has its grace period from then", () => {
  const asked = { graceSeconds, deletionRequestedAt: instantOf(at(7_000)) };
  expect(letGo({ conditions: [told] }, stopAt(9_000), [unasked, asked])).toBe(7_000 + waitSeconds);
});
