import { describe, expect, test } from "vitest";
import { digestOf } from "../../../checkpoint/test/log-builder.ts";
import type { Fields } from "../model/api/object.ts";
import type { Expected } from "./expected.ts";
import { judge } from "./oracle.ts";
import { safety } from "./safety.ts";
import { entry, expected, expectedRun, kubelet, operator, part, Story, user, volume, wholeLife } from "./test/story.ts";

type Bad = Readonly<{ check: string; title: string; tell: (story: Story) => unknown; given?: Partial<Expected> }>;

const own = { kind: "Request", by: operator, namespace: "team", version: 1, code: 200, demands: {} } as const;
const refusedStatus = {
  ...own,
  verb: "patch",
  resource: "trainingruns",
  subresource: "status",
  name: "a",
  code: 422,
} as const;
const refusedPod = { ...own, verb: "create", resource: "pods", name: "pod-3", code: 403 } as const;
const watched = { spec: { stall: { timeoutSeconds: 30 } } };
const stalled = { attempt: 2, stop: { attempt: 2, cause: "Stalled" }, attempts: [entry(2)] };
const unended = { ...stalled, stop: { ...stalled.stop, reason: "NoEnd" } };
const readBack = { ...stalled, stop: { attempt: 2, cause: "NodeSuspect", reason: "ReadBack" } };
const second: Partial<Expected> = { runs: [expectedRun({ nodeLost: "Fence" })] };

const ofTwo: Partial<Expected> = { runs: [expectedRun({ workers: 2 })] };
const worker1 = { ...part(2), worker: 1 } as const;
const ofStep13 = { store: volume, step: 13, digest: digestOf(13, 2) } as const;
const gangSealed = {
  kind: "Sealed",
  ...part(2),
  ...ofStep13,
  content: "both",
  shards: ["shard-0", "shard-1"],
} as const;
const committed = { kind: "Committed", run: "run-a", attempt: 2, ...ofStep13, workers: 2, lacking: [] } as const;

function sealedBy(worker: number) {
  return { kind: "ShardSealed", ...part(2), worker, store: volume, step: 13 } as const;
}

/** A status in which attempt 3 has crashed, and it is not known yet what that costs. */
function undecided(totals: Fields) {
  const ended = { endTime: "t3", cause: "Crashed", charge: "Failure", chargeDueTime: "t4" };
  return { attempt: 3, attempts: [entry(3, ended)], totals: { attempts: 3, disruptions: 1, ...totals } };
}

/** Each goes on from a whole life, and does one thing that must not be. */
const bad: readonly Bad[] = [
  {
    check: "S1",
    title: "a log in which two pods open one attempt, by a reader that forgets the first",
    tell: (story) =>
      story.note({
        kind: "LogRead",
        store: volume,
        run: "run-a",
        state: { ...readState(story), opened: openedBy("pod-other") },
      }),
  },
  {
    check: "S1",
    title: "an open that leaves out a checkpoint",
    tell: (story) => {
      const forgetful = new Story().record(3, (log) => log.open(3));
      const [fact] = forgetful.events;
      if (fact?.kind === "Record") story.note({ ...fact, number: 11 });
    },
  },
  {
    check: "S1",
    title: "a save that is told it counts below a newer open",
    tell: (story) => story.record(3, (log) => log.open(3, digestOf(12, 2))).saved(2, 9),
  },
  {
    check: "S2",
    title: "a trainer that loads another checkpoint than its pod opened on",
    tell: (story) =>
      story.note({ kind: "Loaded", ...part(2), step: 12, digest: digestOf(12, 2), content: "weights-12" }),
  },
  {
    check: "S2",
    title: "a hand-over before the open",
    tell: (story) => story.note({ kind: "Restored", ...part(3), store: volume, resume: null }),
  },
  {
    check: "S2",
    title: "a refused checkpoint that is loaded",
    tell: (story) =>
      story
        .record(2, (log) => log.refuse(2, digestOf(7, 1)))
        .note({ kind: "Loaded", ...part(2), step: 7, digest: digestOf(7, 1), content: "weights-7" }),
  },
  {
    check: "S2",
    title: "a hand-over of bytes that another pod has matched",
    tell: (story) =>
      story
        .record(3, (log) => log.open(3, digestOf(12, 2)))
        .note({ kind: "Restored", ...part(3), store: volume, resume: { step: 12, digest: digestOf(12, 2) } }),
  },
  {
    check: "S3",
    title: "bytes that are not what was saved",
    tell: (story) => story.note({ kind: "Loaded", ...part(2), step: 7, digest: digestOf(7, 1), content: "weights-6" }),
  },
  {
    check: "S3",
    title: "a worker that loads another one's shard",
    tell: (story) =>
      story
        .note(gangSealed)
        .note({ kind: "Loaded", ...worker1, step: 13, digest: digestOf(13, 2), content: "shard-0" }),
  },
  {
    check: "S3",
    title: "a commit of what a loss of power could take",
    tell: (story) => story.record(2, (log) => log.commit(2, 13)).note({ ...committed, workers: 1, lacking: ["bytes"] }),
  },
  {
    check: "S3",
    title: "a loss of power that takes an acknowledged checkpoint",
    tell: (story) => story.note({ kind: "RecordsGone", store: volume, run: "run-a", numbers: [6, 7, 8], why: "Cut" }),
  },
  {
    check: "S4",
    title: "a resume far behind, though there was time to save",
    tell: (story) =>
      story
        .note({ kind: "StopAsked", ...part(2), graceMs: 10_000 })
        .trainer("ContainerEnded", 2, { how: "Terminated" })
        .note({ kind: "Restored", ...part(3), store: volume, resume: { step: 7, digest: digestOf(7, 1) } }),
  },
  {
    check: "S5",
    title: "a checkpoint that is removed without a tombstone",
    tell: (story) =>
      story.note({ kind: "Removed", store: volume, run: "run-a", directory: "step-000000000006-a0001", by: part(2) }),
  },
  {
    check: "S5",
    title: "a tombstone while what is newer is not verified",
    tell: (story) =>
      story
        .record(2, (log) => log.commit(2, 13))
        .record(2, (log) => log.commit(2, 14))
        .record(2, (log) => log.delete(2, digestOf(13, 2))),
  },
  {
    check: "S5",
    title: "fresh evidence that is deleted",
    tell: (story) =>
      story.record(2, (log) => log.refuse(2, digestOf(6, 1))).record(2, (log) => log.delete(2, digestOf(6, 1))),
  },
  {
    check: "S6",
    title: "a deletion without a uid",
    tell: (story) => story.note({ ...own, verb: "delete", resource: "pods", name: "pod-2" }),
  },
  {
    check: "S6",
    title: "a write to an object that is none of ours",
    given: { decoys: ["pods team/decoy"] },
    tell: (story) => story.write("pods", "decoy", {}, user).write("pods", "decoy", null),
  },
  {
    check: "S6",
    title: "a foreign pod that is taken on record",
    tell: (story) =>
      story
        .pod(3, { run: "run-b", by: user })
        .run({ attempt: 3, attempts: [entry(3)], totals: { attempts: 2, disruptions: 1 } }),
  },
  {
    check: "S6",
    title: "the word of another pod's agent",
    tell: (story) =>
      story.note({
        kind: "AgentAnswered",
        ...part(2),
        by: operator,
        askedRun: "run-a",
        askedPod: "pod-1",
        taken: true,
      }),
  },
  { check: "S7", title: "an attempt that falls", tell: (story) => story.run({ attempt: 1 }) },
  {
    check: "S7",
    title: "a resume that passes over the newest checkpoint",
    tell: (story) => story.record(3, (log) => log.open(3, digestOf(7, 1))),
  },
  {
    check: "S8",
    title: "Complete without a verified final checkpoint",
    tell: (story) => story.run({ state: "Running" }, { uid: "run-b" }).run({ state: "Complete" }, { uid: "run-b" }),
  },
  {
    check: "S8",
    title: "a disruption that is charged as a failure",
    tell: (story) =>
      story.run(
        {
          attempt: 1,
          attempts: [{ ...entry(1, { endTime: "t", cause: "Crashed", charge: "Failure" }), pods: [] }],
          totals: { attempts: 1, failures: 1 },
        },
        { uid: "run-b" },
      ),
  },
  {
    check: "S8",
    title: "an end that is told otherwise later",
    tell: (story) =>
      story.run({ attempt: 2, attempts: [entry(1, { endTime: "t1", cause: "Crashed", charge: "Failure" })] }),
  },
  {
    check: "S8",
    title: "an attempt that is counted twice",
    tell: (story) => story.run({ state: "Complete", attempt: 2, totals: { attempts: 3, disruptions: 2 } }),
  },
  {
    check: "S8",
    title: "a failure that is counted while its cost is undecided",
    tell: (story) => story.trainer("ContainerEnded", 3, { how: "Planned" }).run(undecided({ failures: 1 })),
  },
  {
    check: "S8",
    title: "the end of a worker that another one's stop brought about, charged as a failure",
    tell: (story) =>
      story.trainer("ContainerEnded", 1, { run: "run-b", how: "ByPeer", exitCode: 143 }).run(
        {
          attempt: 1,
          attempts: [{ ...entry(1, { endTime: "t", cause: "Crashed", charge: "Failure" }), pods: [] }],
          totals: { attempts: 1, failures: 1 },
        },
        { uid: "run-b" },
      ),
  },
  {
    check: "S9",
    title: "a beginning at step 0 after a checkpoint",
    tell: (story) => story.note({ kind: "BeganFresh", ...part(3) }),
  },
  {
    check: "S9",
    title: "a beginning at step 0 of a run without a volume that has uploaded a checkpoint",
    given: { runs: [expectedRun({ hasVolume: false })] },
    tell: (story) =>
      story
        .record(3, (log) => log.open(3), "bucket/checkpoints")
        .record(3, (log) => log.commit(3, 13), "bucket/checkpoints")
        .note({ kind: "BeganFresh", ...part(4) }),
  },
  {
    check: "S10",
    title: "a trainer beside one that may still run",
    tell: (story) => story.trainer("ContainerStarted", 3).trainer("ContainerStarted", 4),
  },
  {
    check: "S10",
    title: "a trainer beside one on a silent node whose pod was forced away",
    tell: (story) =>
      story
        .pod(3)
        .trainer("ContainerStarted", 3)
        .write("nodes", "node-0", { status: { conditions: [{ type: "Ready", status: "Unknown" }] } }, kubelet)
        .write("pods", "pod-3", null, user)
        .trainer("ContainerStarted", 4),
  },
  {
    check: "S10",
    title: "a trainer beside one that was never fenced, by a run that fences",
    given: second,
    tell: (story) => story.trainer("ContainerStarted", 3).trainer("ContainerStarted", 4),
  },
  {
    check: "S11",
    title: "an attempt that is superseded without an edit",
    tell: (story) => story.run({ attempt: 3, attempts: [entry(3)], stop: { attempt: 3, cause: "Superseded" } }),
  },
  {
    check: "S11",
    title: "an attempt that is stopped as stalled, of a run that does not ask for that",
    tell: (story) => story.at(100_000).run(stalled),
  },
  {
    check: "S11",
    title: "an attempt that is stopped as stalled in the midst of its steps",
    tell: (story) => story.write("trainingruns", "run-a", watched, user).at(17_500).run(stalled),
  },
  {
    check: "S11",
    title: "an attempt that is stopped after its last step as if it had to do another",
    tell: (story) => story.write("trainingruns", "run-a", watched, user).at(300_000).run(unended),
  },
  {
    check: "S11",
    title: "an attempt that is stopped for what none of its agents said of its node",
    tell: (story) => story.note({ kind: "NodeSuspected", ...part(1) }).run(readBack),
  },
  {
    check: "S17",
    title: "a status that is sent again and again while it is refused",
    tell: (story) => {
      for (let count = 0; count < 46; count += 1) story.at(17_000 + count * 1_300).note(refusedStatus);
    },
  },
  {
    check: "S17",
    title: "a pod that is created again and again while it is refused",
    tell: (story) => {
      for (let count = 0; count < 11; count += 1) story.at(17_000 + count * 5_000).note(refusedPod);
    },
  },
  {
    check: "S12",
    title: "a path outside its place",
    tell: (story) => story.note({ kind: "Trespass", ...part(2), path: "/etc/passwd" }),
  },
  {
    check: "S12",
    title: "more requests than the limit",
    tell: (story) => {
      for (let count = 0; count < 231; count += 1) story.note({ ...own, verb: "get", resource: "pods" });
    },
  },
  {
    check: "S12",
    title: "a status past its size",
    tell: (story) => story.run({ state: "x".repeat(256 * 1024), totals: { attempts: 2, disruptions: 1 } }),
  },
  {
    check: "S12",
    title: "an object in another namespace",
    tell: (story) => {
      const owners = [{ apiVersion: "v1", kind: "TrainingRun", name: "a", uid: "run-a", controller: true }];
      story.write("services", "service", { metadata: { namespace: "other", ownerReferences: owners } });
    },
  },
  {
    check: "S13",
    title: "an operator that is blind for more than a minute",
    tell: (story) =>
      story.note({ kind: "Sight", operator: "operator-0", resource: "pods", holds: false }).at(78_001).run({}),
  },
  {
    check: "S13",
    title: "an operator that the server ends",
    tell: (story) => story.note({ kind: "ProgramEnded", who: operator, how: "Threw", why: "ECONNRESET" }),
  },
  {
    check: "S13",
    title: "a cache that is not what there is",
    tell: (story) =>
      story.note({ kind: "CacheCompared", operator: "operator-0", resource: "pods", difference: "it lacks pod-2" }),
  },
  {
    check: "S14",
    title: "a write long after the lease was lost",
    tell: (story) =>
      story
        .write("leases", "lease", { spec: { holderIdentity: "operator-1" } }, { role: "Operator", name: "operator-1" })
        .at(19_000)
        .note({ ...own, verb: "create", resource: "pods", name: "pod-3" }),
  },
  {
    check: "S14",
    title: "a write by a holder that has not renewed",
    tell: (story) => story.at(18_000).note({ ...own, verb: "create", resource: "pods", name: "pod-3" }),
  },
  { check: "S15", title: "a pod before its attempt is on record", tell: (story) => story.pod(3) },
  {
    check: "S16",
    title: "a worker that is replaced alone",
    tell: (story) => story.pod(2, { uid: "pod-new" }),
  },
  {
    check: "S16",
    title: "a worker that the run has no place for",
    tell: (story) => story.pod(3, { worker: 1 }),
  },
  {
    check: "S16",
    title: "a gang's checkpoint that counts before each worker has sealed its shard",
    given: ofTwo,
    tell: (story) =>
      story
        .note(sealedBy(0))
        .record(2, (log) => log.commit(2, 13))
        .note(committed),
  },
  {
    check: "S16",
    title: "a checkpoint that fewer workers have saved than the gang has",
    given: ofTwo,
    tell: (story) => story.record(2, (log) => log.commit(2, 13)).note({ ...committed, workers: 1 }),
  },
  {
    check: "S15",
    title: "a pod that is deleted without a stop",
    tell: (story) =>
      story
        .run({ attempt: 3, attempts: [entry(3)], totals: { attempts: 2, disruptions: 1 } })
        .pod(3)
        .write("pods", "pod-3", { metadata: { deletionTimestamp: "t" } }),
  },
];

/** Each looks like one of the above, and is right. */
const good: readonly Bad[] = [
  {
    check: "S9",
    title: "a beginning at step 0 of a run without a volume that has uploaded nothing",
    given: { runs: [expectedRun({ hasVolume: false })] },
    tell: (story) => story.note({ kind: "BeganFresh", ...part(3) }),
  },
  {
    check: "S10",
    title: "a trainer beside one whose node is deleted",
    tell: (story) =>
      story.trainer("ContainerStarted", 3).write("nodes", "node-0", null, kubelet).trainer("ContainerStarted", 4),
  },
  {
    check: "S10",
    title: "a trainer beside one that was fenced, by a run that fences",
    given: second,
    tell: (story) =>
      story
        .trainer("ContainerStarted", 3)
        .run({ attempt: 3, fencedAttempt: 3, totals: { attempts: 2, disruptions: 1 } })
        .trainer("ContainerStarted", 4),
  },
  {
    check: "S8",
    title: "a crash that is charged",
    tell: (story) =>
      story.trainer("ContainerEnded", 3, { how: "Planned" }).run({
        attempt: 3,
        attempts: [entry(3, { endTime: "t3", cause: "Crashed", charge: "Failure" })],
        totals: { attempts: 3, disruptions: 1, failures: 1 },
      }),
  },
  {
    check: "S8",
    title: "a gang's crash behind which a lost node is found",
    tell: (story) =>
      story.run(undecided({})).run({
        attempt: 3,
        attempts: [entry(3, { endTime: "t3", cause: "NodeLost", charge: "Disruption" })],
        totals: { attempts: 3, disruptions: 2, failures: 0 },
      }),
  },
  {
    check: "S3",
    title: "workers that load each its own shard",
    tell: (story) =>
      story
        .note(gangSealed)
        .note({ kind: "Loaded", ...part(2), step: 13, digest: digestOf(13, 2), content: "shard-0" })
        .note({ kind: "Loaded", ...worker1, step: 13, digest: digestOf(13, 2), content: "shard-1" }),
  },
  {
    check: "S16",
    title: "a gang's checkpoint that counts once all have sealed their shards",
    given: ofTwo,
    tell: (story) =>
      story
        .note(sealedBy(0))
        .note(sealedBy(1))
        .record(2, (log) => log.commit(2, 13))
        .note(committed),
  },
  {
    check: "S16",
    title: "a checkpoint of fewer shards that does not count, below a newer open",
    given: ofTwo,
    tell: (story) =>
      story
        .record(3, (log) => log.open(3, digestOf(12, 2)))
        .record(2, (log) => log.commit(2, 13))
        .note(committed),
  },
  {
    check: "S11",
    title: "an attempt that is stopped as stalled when its trainer has stood still for so long",
    tell: (story) => story.write("trainingruns", "run-a", watched, user).at(46_000).run(stalled),
  },
  {
    check: "S11",
    title: "an attempt that is stopped when its final save has had its time after the last step",
    tell: (story) => story.write("trainingruns", "run-a", watched, user).at(646_000).run(unended),
  },
  {
    check: "S11",
    title: "an attempt that is stopped for what its agent said of its node",
    tell: (story) => story.note({ kind: "NodeSuspected", ...part(2) }).run(readBack),
  },
  {
    check: "S11",
    title: "an attempt that is stopped as stalled a moment after its trainer went on",
    tell: (story) =>
      story
        .write("trainingruns", "run-a", watched, user)
        .at(60_000)
        .note({ kind: "Stepped", ...part(2), step: 13 })
        .at(61_000)
        .run(stalled),
  },
  {
    check: "S17",
    title: "a status that is sent later each time while it is refused, by two operators",
    tell: (story) => {
      for (let count = 0; count < 20; count += 1) {
        story.at(17_000 + count * 1_900).note(refusedStatus);
        story.note({ ...refusedStatus, by: { role: "Operator", name: "operator-1" } });
      }
    },
  },
  {
    check: "S17",
    title: "a status that an operator sends that has been started anew",
    tell: (story) => {
      for (let count = 0; count < 40; count += 1) {
        if (count === 20) story.note({ kind: "ProgramEnded", who: operator, how: "Killed", why: "the plan" });
        story.at(17_000 + count * 1_000).note(refusedStatus);
      }
    },
  },
  {
    check: "S13",
    title: "an operator that is blind while no server is in reach",
    tell: (story) =>
      story
        .note({ kind: "Sight", operator: "operator-0", resource: "pods", holds: false })
        .note({ kind: "Ready", operator: "operator-0", holds: false })
        .note({ kind: "Reach", operator: "operator-0", holds: false })
        .at(400_000)
        .note({ kind: "Reach", operator: "operator-0", holds: true })
        .at(420_000)
        .note({ kind: "Sight", operator: "operator-0", resource: "pods", holds: true }),
  },
  {
    check: "S14",
    title: "a write that the version makes harmless, after the lease was lost",
    tell: (story) =>
      story.at(19_000).note({
        ...own,
        verb: "patch",
        resource: "pods",
        name: "pod-3",
        demands: { uid: "pod-3", resourceVersion: "7" },
      }),
  },
  {
    check: "S5",
    title: "evidence that has been kept for its time",
    given: { runs: [expectedRun({ evidenceMs: 1_000 })] },
    tell: (story) =>
      story
        .record(2, (log) => log.refuse(2, digestOf(6, 1)))
        .at(30_000)
        .record(2, (log) => log.delete(2, digestOf(6, 1)))
        .note({ kind: "Removed", store: volume, run: "run-a", directory: "step-000000000006-a0001", by: part(2) }),
  },
  {
    check: "S1",
    title: "a save below a newer open that was not told that it counts",
    tell: (story) =>
      story
        .record(3, (log) => log.open(3, digestOf(12, 2)))
        .record(2, (log) => log.commit(2, 9))
        .read(),
  },
  {
    check: "S3",
    title: "a loss of power that takes what nobody was promised",
    tell: (story) =>
      story
        .record(2, (log) => log.commit(2, 14))
        .note({ kind: "RecordsGone", store: volume, run: "run-a", numbers: [9], why: "Cut" }),
  },
];

describe("what must never happen", () => {
  test("a whole life keeps every promise, and each promise had something to look at", () => {
    const story = wholeLife()
      .note({ ...own, verb: "patch", resource: "pods", name: "pod-2", demands: { uid: "pod-2", resourceVersion: "7" } })
      .note({ kind: "CacheCompared", operator: "operator-0", resource: "pods", difference: null })
      .note(refusedStatus)
      .run({ attempt: 2, stop: { attempt: 2, cause: "Crashed" }, totals: { attempts: 2, disruptions: 1 } });
    const { violations, evaluations } = judge(story, expected(), safety);
    expect(violations).toEqual([]);
    expect(Object.entries(evaluations).filter(([, count]) => count === 0)).toEqual([]);
  });

  test.each(bad)("$check breaks by $title", ({ check, tell, given }) => {
    const story = wholeLife();
    tell(story);
    const { violations } = judge(story, expected(given), safety);
    expect(violations.map((violation) => violation.check)).toContain(check);
  });

  test.each(good)("$check holds for $title", ({ check, tell, given }) => {
    const story = wholeLife();
    const before = judge(story, expected(given), safety).evaluations[check] ?? 0;
    tell(story);
    const { violations, evaluations } = judge(story, expected(given), safety);
    expect(violations.filter((violation) => violation.check === check)).toEqual([]);
    expect(evaluations[check]).toBeGreaterThanOrEqual(before);
  });

  test("every check has a history that it flags", () => {
    const flagged = new Set(bad.map(({ check }) => check));
    expect(safety.map(({ id }) => id).filter((id) => !flagged.has(id))).toEqual([]);
  });
});

/** The state of a story's log, as its reader would have it. */
function readState(story: Story) {
  const read = story.read().events.at(-1);
  if (read?.kind !== "LogRead") throw new Error("Cannot give what was read because nothing was");
  return read.state;
}

function openedBy(podUid: string) {
  return { attempt: 2, podUid, node: "n", base: digestOf(7, 1), generation: 1, number: 5, time: "t" };
}
