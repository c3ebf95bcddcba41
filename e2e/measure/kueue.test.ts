import { describe, expect, test } from "vitest";
import { type AttemptView, RunView } from "../harness/run-view.ts";
import type { Played, Queued } from "../kueue/play.ts";
import { kueueResult } from "./kueue.ts";
import { holds } from "./result.ts";

const uncharged = { attempts: 1, disruptions: 0, failures: 0 };
const done: Partial<AttemptView> = { number: 1, cause: "Complete", charge: "Nothing" };
const takenBack: Partial<AttemptView> = {
  number: 1,
  cause: "Preempted",
  charge: "Nothing",
  reason: "WorkloadEvictedDueToPreempted",
  lastStep: 70,
  lostSteps: 0,
};
const resumed: Partial<AttemptView> = { ...done, number: 2, resumedFrom: { step: 70, digest: "d" } };

type Status = Readonly<{ attempts?: readonly Partial<AttemptView>[]; state?: string; totals?: Record<string, number> }>;

function queued(name: string, status: Status = {}, weights = "w"): Queued {
  const metadata = { name, namespace: "default", uid: name, creationTimestamp: "2026-01-01T00:00:00Z" };
  const latestVerified = { step: 500, attempt: 1, digest: "d", bytes: 1 };
  const full = { state: "Complete", latestVerified, totals: uncharged, attempts: [done], ...status };
  return { run: RunView.parse({ metadata, spec: {}, status: full }), weights };
}

const played: Played = {
  version: "0.0.0",
  steps: 500,
  first: queued("first", { attempts: [resumed, takenBack] }),
  second: queued("second"),
  urgent: queued("urgent", { attempts: [{ ...done, firstStepTime: "2026-01-01T00:00:12.500Z" }] }),
  waited: {
    reason: "SchedulingGated",
    message: "The pod second-1-0 waits in the queue gpus to be admitted. insufficient unused quota for nvidia.com/gpu.",
  },
  gang: { workers: 2, held: 2, waited: "The pod gang-1-0 waits in the queue gpus to be admitted.", heldLater: 0 },
};

describe("the kueue measure", () => {
  test("holds where the first gave way for nothing and all ended alike", () => {
    const result = kueueResult(played);
    expect(holds(result)).toBe(true);
    expect(result.figures).toMatchObject({ attempts: [2, 1, 1], resumedFromStep: 70, urgentFirstStepSeconds: 12.5 });
  });

  test.each<[string, string, Partial<Played>]>([
    [
      "the second did not say for what it waits",
      "waited",
      { waited: { ...played.waited, message: "in the queue gpus" } },
    ],
    ["the second had a pod more", "waited", { second: queued("second", { attempts: [done, takenBack] }) }],
    [
      "the first gave way as a disruption",
      "takenBack",
      { first: queued("first", { attempts: [resumed, { ...takenBack, charge: "Disruption" }] }) },
    ],
    [
      "somebody else deleted the first's pod",
      "takenBack",
      { first: queued("first", { attempts: [resumed, { ...takenBack, cause: "Deleted", reason: "PodDeleted" }] }) },
    ],
    [
      "a disruption was counted",
      "takenBack",
      { first: queued("first", { attempts: [resumed, takenBack], totals: { ...uncharged, disruptions: 1 } }) },
    ],
    [
      "steps were lost",
      "resumedFromStep",
      { first: queued("first", { attempts: [resumed, { ...takenBack, lostSteps: 3 }] }) },
    ],
    [
      "the first began anew",
      "resumedFromStep",
      { first: queued("first", { attempts: [{ ...done, number: 2 }, takenBack] }) },
    ],
    ["the first was never taken back", "resumedFromStep", { first: queued("first") }],
    ["one failed", "weights", { second: queued("second", { state: "Failed" }) }],
    ["one pod of the gang was let go alone", "gang", { gang: { ...played.gang, held: 1 } }],
    ["one pod of the gang was never let go", "gang", { gang: { ...played.gang, heldLater: 1 } }],
    ["one ended with other weights", "weights", { second: queued("second", {}, "other") }],
  ])("does not hold where %s", (_title, goal, over) => {
    const result = kueueResult({ ...played, ...over });
    expect(result.goals[goal]?.met).toBe(false);
  });
});
