import { describe, expect, test } from "vitest";
import { boundClaim, condition, decideOn, held, kinds, living } from "../../test/observed-builder.ts";
import { at, podWith, running } from "../../test/pod-builder.ts";
import { runWith, start } from "../../test/run-builder.ts";

/* A run is looked at again when its time is over, whatever it waits for. */

const deadline = { activeDeadlineSeconds: 100 };
const overdue = start + 100_000;

describe("the deadline of a run", () => {
  const backingOff = {
    run: runWith({
      metadata: held,
      spec: deadline,
      status: {
        attempt: 1,
        startTime: at(0),
        retry: { failures: 1, failuresLeft: 2, disruptions: 0, fruitless: 1, nextAttemptTime: at(500) },
      },
    }),
  };
  const blocked = {
    run: runWith({ metadata: held, spec: deadline, status: { attempt: 1, startTime: at(0) } }),
    volume: { ...boundClaim, deletionRequested: true },
  };
  test.each([
    ["backs off", backingOff, "Backoff"],
    ["is blocked", blocked, undefined],
  ])("wakes one that %s", (_, observed, reason) => {
    const early = decideOn(observed);
    expect(condition(early, "Progressing")?.status).toBe("False");
    if (reason !== undefined) expect(condition(early, "Progressing")).toMatchObject({ reason });
    expect(early.requeueAfterMs).toBe(40_000);
    const late = decideOn({ ...observed, now: overdue });
    expect(condition(late, "Failed")).toMatchObject({ status: "True", reason: "DeadlineExceeded" });
  });
});

test("a wait that was written by a clock which was ahead is cut to the longest that the spec allows", () => {
  const retry = { failures: 1, failuresLeft: 2, disruptions: 0, fruitless: 1, nextAttemptTime: at(7200) };
  const run = runWith({ metadata: held, status: { attempt: 1, retry } });
  const early = decideOn({ run });
  expect([early.status.retry?.nextAttemptTime, early.requeueAfterMs]).toEqual(["2026-01-01T00:06:00.000Z", 300_000]);
  const later = decideOn({ run: { ...run, status: early.status }, now: start + 160_000 });
  expect([later.status.retry?.nextAttemptTime, later.requeueAfterMs]).toEqual(["2026-01-01T00:06:00.000Z", 200_000]);
  expect(kinds(decideOn({ run: { ...run, status: later.status }, now: start + 360_000 }))).toContain("CreatePod");
});

describe("a pod that was asked to stop and that its kubelet does not end", () => {
  const asked = { deletionTimestamp: at(60), deletionGracePeriodSeconds: 30 };
  const hanging = podWith({
    metadata: asked,
    status: { containerStatuses: [running("trainer")], initContainerStatuses: [running("agent")] },
  });
  const suspended = living({
    spec: { suspend: true },
    status: { stop: { attempt: 1, cause: "Suspended", time: at(30) } },
  });
  const earlier = living({ entry: { endTime: at(20), cause: "Drained", charge: "Disruption" } });

  test.each([
    ["by a suspension", suspended, "Stopping"],
    ["by somebody", living(), "PodStopping"],
    ["with its attempt, which has ended", earlier, "PodStopping"],
  ])("%s is called stuck a minute after its grace period", (_, run, before) => {
    const early = decideOn({ run, pods: [hanging] });
    expect(condition(early, "Progressing")).toMatchObject({ status: "False", reason: before });
    expect(early.requeueAfterMs).toBe(60_000);
    const late = decideOn({ run: { ...run, status: early.status }, pods: [hanging], now: start + 120_000 });
    expect(condition(late, "Progressing")).toMatchObject({
      status: "False",
      reason: "PodStuck",
      message: expect.stringMatching(
        /^The pod mnist-1-0 was asked to stop at 2026-01-01T00:00:30.000Z, .* node node-a /,
      ),
    });
    expect(late.events).toMatchObject([{ type: "Warning", reason: "PodStuck" }]);
    expect(kinds(late)).toEqual([]);
    const again = decideOn({ run: { ...run, status: late.status }, pods: [hanging], now: start + 121_000 });
    expect([again.status, again.events]).toEqual([late.status, []]);
  });
});
