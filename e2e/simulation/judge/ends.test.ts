import { describe, expect, test } from "vitest";
import { ends } from "./ends.ts";
import type { Expected } from "./expected.ts";
import { liveness } from "./liveness.ts";
import { judge } from "./oracle.ts";
import {
  atRest,
  entry,
  expected,
  expectedRun,
  kubelet,
  operator,
  part,
  type Story,
  user,
  volume,
  wholeLife,
} from "./test/story.ts";

type Case = Readonly<{ check: string; title: string; tell: (story: Story) => unknown; given?: Partial<Expected> }>;

const checks = [...liveness, ...ends];
const deleted: Partial<Expected> = { runs: [expectedRun({ end: "Deleted" })] };
const deletedWithData: Partial<Expected> = { runs: [expectedRun({ end: "Deleted", deletionPolicy: "Delete" })] };
const request = {
  kind: "Request",
  by: operator,
  verb: "get",
  resource: "pods",
  version: 1,
  code: 200,
  demands: {},
} as const;

const event = (story: Story, name: string) => story.write("events", name, { regarding: { uid: "run-a" } }, operator);

const bad: readonly Case[] = [
  {
    check: "E1",
    title: "a write when nothing was left to do",
    tell: (story) => atRest(story).note({ kind: "Part", part: "Quiet" }).run({ state: "Complete" }),
  },
  {
    check: "E1",
    title: "an event when nothing was left to do, of a run of which little was told",
    tell: (story) => {
      for (let count = 1; count < 25; count += 1) event(story, `event-${count}`);
      event(atRest(story).note({ kind: "Part", part: "Quiet" }), "event-25");
    },
  },
  { check: "E1", title: "a run that never ends", tell: (story) => atRest(story.run({ state: "Backoff" })) },
  { check: "E1", title: "a deleted run that stays", given: deleted, tell: (story) => atRest(story) },
  {
    check: "E2",
    title: "a run that is Complete short of its target",
    tell: (story) => atRest(story.run({ state: "Complete", progress: { step: 11 } })),
  },
  {
    check: "E3",
    title: "a run that stands still and says nothing",
    tell: (story) => {
      story.run({ state: "Running", attempt: 3, attempts: [entry(3)] });
      for (let minute = 1; minute < 6; minute += 1) story.at(20_000 + minute * 61_000).note(request);
    },
  },
  {
    check: "E3",
    title: "a run that stands still and gives no reason",
    tell: (story) => {
      const condition = { type: "Progressing", status: "False", reason: "", message: "" };
      story.run({ state: "Running", attempt: 3, attempts: [entry(3)], conditions: [condition] });
      for (let minute = 1; minute < 6; minute += 1) story.at(20_000 + minute * 61_000).note(request);
    },
  },
  {
    check: "E3",
    title: "a run that stands still and says nothing long after the server takes statuses again",
    tell: (story) => {
      story.run({ state: "Running", attempt: 3, attempts: [entry(3)] });
      story.note({ kind: "FaultBegan", id: "f0", fault: "StatusRefused", phases: [] });
      story.note({ kind: "FaultEnded", id: "f0", fault: "StatusRefused", phases: [] });
      for (let minute = 1; minute < 6; minute += 1) story.at(20_000 + minute * 61_000).note(request);
    },
  },
  {
    check: "E4",
    title: "a bucket that has not caught up",
    tell: (story) => story.note({ kind: "Lag", ...part(2), steps: 5, dueSeconds: 600 }),
  },
  {
    check: "E5",
    title: "a pod that remains of a deleted run",
    given: deleted,
    tell: (story) => story.write("trainingruns", "run-a", null, user),
  },
  {
    check: "E5",
    title: "a run that is let go too late",
    given: deleted,
    tell: (story) =>
      withoutPods(story)
        .write("trainingruns", "run-a", { metadata: { deletionTimestamp: "t" } }, user)
        .at(88_000)
        .write("trainingruns", "run-a", null, user),
  },
  {
    check: "E5",
    title: "data that were to stay and are gone",
    given: deleted,
    tell: (story) =>
      withoutPods(story)
        .write("trainingruns", "run-a", null, user)
        .write("persistentvolumeclaims", "claim-a", null, user),
  },
  {
    check: "E5",
    title: "data that were to go and are there",
    given: deletedWithData,
    tell: (story) => withoutPods(story).write("trainingruns", "run-a", null, user),
  },
  {
    check: "E5",
    title: "objects that were to go and are there",
    given: deletedWithData,
    tell: (story) =>
      withoutPods(story)
        .write("persistentvolumeclaims", "claim-a", null, user)
        .write("trainingruns", "run-a", null, user)
        .note({ kind: "Contents", store: "bucket/b", run: "run-a", whole: [], files: 3 }),
  },
  {
    check: "E6",
    title: "other weights than without faults",
    given: { runs: [expectedRun({ finalContent: "weights-of-another" })] },
    tell: (story) => atRest(story),
  },
  { check: "E6", title: "a process that lives on", tell: (story) => atRest(story.trainer("ContainerStarted", 2)) },
  {
    check: "E6",
    title: "a final checkpoint that is not whole",
    tell: (story) => story.note({ kind: "Contents", store: volume, run: "run-a", whole: [], files: 1 }),
  },
  {
    check: "E6",
    title: "fewer checkpoints than were to stay",
    given: { runs: [expectedRun({ keptLast: 3 })] },
    tell: (story) => atRest(story),
  },
  {
    check: "E6",
    title: "a failure that is not the planned one",
    given: { runs: [expectedRun({ end: "Failed", failure: ["Crashed"] })] },
    tell: (story) => story.run({ state: "Failed", conditions: [failed("NoVerifiedCheckpoint")] }),
  },
];

const good: readonly Case[] = [
  {
    check: "E1",
    title: "an event that was held back, of a run of which much was told",
    tell: (story) => {
      for (let count = 1; count <= 25; count += 1) event(story, `event-${count}`);
      event(atRest(story).note({ kind: "Part", part: "Quiet" }), "event-26");
    },
  },
  {
    check: "E1",
    title: "a renewal of the Lease when nothing is left to do",
    tell: (story) => atRest(story).note({ kind: "Part", part: "Quiet" }).write("leases", "lease", {}, operator),
  },
  {
    check: "E3",
    title: "a run that stands still and says why",
    tell: (story) => {
      const condition = { type: "Progressing", status: "False", reason: "NodeSilent", message: "node-0 is silent" };
      story.run({ state: "Fencing", attempt: 3, attempts: [entry(3)], conditions: [condition] });
      for (let minute = 1; minute < 6; minute += 1) story.at(20_000 + minute * 61_000).note(request);
    },
  },
  {
    check: "E3",
    title: "a run of which nobody can write that it stands still",
    tell: (story) => {
      story.run({ state: "Running", attempt: 3, attempts: [entry(3)] });
      story.note({ kind: "ProgramEnded", who: operator, how: "Killed", why: "the plan" });
      for (let minute = 1; minute < 6; minute += 1) {
        story.at(20_000 + minute * 61_000).write("nodes", "node-0", {}, kubelet);
      }
    },
  },
  {
    check: "E3",
    title: "a run that stands still while the server takes no status",
    tell: (story) => {
      story.run({ state: "Running", attempt: 3, attempts: [entry(3)] });
      story.note({ kind: "FaultBegan", id: "f0", fault: "StatusRefused", phases: [] });
      for (let minute = 1; minute < 6; minute += 1) story.at(20_000 + minute * 61_000).note(request);
      story.note({ kind: "FaultEnded", id: "f0", fault: "StatusRefused", phases: [] });
      story.at(20_000 + 6 * 61_000).note(request);
    },
  },
  {
    check: "E5",
    title: "objects that are there, of a run whose namespace is gone",
    given: { runs: [expectedRun({ end: "Deleted", deletionPolicy: "Delete", isDamaged: true, losesNamespace: true })] },
    tell: (story) =>
      withoutPods(story)
        .write("persistentvolumeclaims", "claim-a", null, user)
        .write("trainingruns", "run-a", null, user)
        .note({ kind: "Contents", store: "bucket/b", run: "run-a", whole: [], files: 3 }),
  },
  {
    check: "E5",
    title: "a run that is let go in time, and whose data stay",
    given: deleted,
    tell: (story) =>
      withoutPods(story)
        .write("trainingruns", "run-a", { metadata: { deletionTimestamp: "t" } }, user)
        .at(80_000)
        .write("trainingruns", "run-a", null, user),
  },
  {
    check: "E6",
    title: "the planned failure",
    given: { runs: [expectedRun({ end: "Failed", failure: ["Crashed"] })] },
    tell: (story) => story.run({ state: "Failed", conditions: [failed("Crashed")] }),
  },
];

describe("what must happen in the end", () => {
  test("a whole life and its rest keep every promise", () => {
    const { violations, evaluations } = judge(atRest(wholeLife()), expected(), checks);
    expect(violations).toEqual([]);
    expect(evaluations).toMatchObject({ E1: 1, E2: 1, E4: 1, E6: 4 });
  });

  test.each(bad)("$check breaks by $title", ({ check, tell, given }) => {
    const story = wholeLife();
    tell(story);
    const { violations } = judge(story, expected(given), checks);
    expect(violations.map((violation) => violation.check)).toContain(check);
  });

  test.each(good)("$check holds for $title", ({ check, tell, given }) => {
    const story = wholeLife();
    tell(story);
    const { violations } = judge(story, expected(given), checks);
    expect(violations.filter((violation) => violation.check === check)).toEqual([]);
  });

  test("every check has a history that it flags", () => {
    const flagged = new Set(bad.map(({ check }) => check));
    expect(checks.map(({ id }) => id).filter((id) => !flagged.has(id))).toEqual([]);
  });
});

function withoutPods(story: Story): Story {
  return story.write("pods", "pod-1", null, kubelet).write("pods", "pod-2", null, kubelet);
}

function failed(reason: string) {
  return { type: "Failed", status: "True", reason, message: "m" };
}
