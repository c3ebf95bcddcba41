import { fieldsOf, listOf, type StoredObject } from "../model/api/object.ts";
import type { ExpectedRun } from "./expected.ts";
import type { ContainerLife, Event, FactOf } from "./history.ts";
import type { Check, Inquiry } from "./oracle.ts";
import { type StatusView, statusOf } from "./status-view.ts";
import type { Living, World } from "./world.ts";

/** S4: losses are bounded. */
const boundedLoss: Check = {
  id: "S4",
  guards: "I4",
  says: "an attempt loses at most the interval and the save in flight, and nothing where its grace covers a save",
  begin: (inquiry) => {
    const obeyed = new Set<string>();
    inquiry.on("ContainerEnded", ({ pod, container, how, exitCode }) => {
      const isObedient = how === "Terminated" || (how === "ByPeer" && exitCode === stoppedCode);
      if (container === "trainer" && isObedient) obeyed.add(pod);
    });
    inquiry.on("Restored", ({ run, attempt, worker, resume, atMs }, world) => {
      const expected = inquiry.runOf(world, run);
      if (worker !== 0 || !expected?.hasHealthyStorage || expected.mayGoBack || !expected.hasVolume) return;
      const before = lastThatStepped(world, run, attempt);
      if (before === undefined) return;
      const grace = world.asked.get(before.pod)?.graceMs ?? -1;
      const gang = world.podsOf(run, before.attempt).filter(({ owner }) => owner === run);
      const haveObeyed = gang.every(({ part }) => obeyed.has(part.pod));
      const couldSave = expected.obeys && grace >= expected.saveMs && haveObeyed;
      const bound = couldSave ? 0 : mostLost(expected);
      const lost = before.step - (resume?.step ?? 0);
      const what = `attempt ${attempt} of ${run} resumed ${lost} steps back, and ${bound} may be lost`;
      inquiry.expect(lost <= bound, atMs, () => what);
    });
  },
};

/** S7: numbers never fall, and the newest is the one of the highest step. */
const monotonic: Check = {
  id: "S7",
  guards: "I8",
  says: "attempt, fencedAttempt and observedGeneration never fall, and a resume takes the highest step that it may",
  begin: (inquiry) => {
    inquiry.on("Write", ({ by, resource, change, before, object, atMs }) => {
      if (resource !== "trainingruns" || by.role !== "Operator" || change !== "MODIFIED" || before === undefined)
        return;
      const [old, now] = [statusOf(before), statusOf(object)];
      for (const field of ["attempt", "fencedAttempt", "observedGeneration"] as const) {
        const what = `${field} of ${object.metadata.uid} went from ${old[field]} to ${now[field]}`;
        inquiry.expect(now[field] >= old[field], atMs, () => what);
      }
    });
    inquiry.on("Record", ({ store, run, record, atMs }, world) => {
      const { outcome } = world.log(store, run);
      if (record.kind !== "open" || outcome.void !== null || inquiry.runOf(world, run)?.mayGoBack) return;
      const banned = bannedOf(world, run);
      const newer = outcome.passedOver.filter(({ digest }) => !banned.has(digest));
      const what = `attempt ${record.attempt} of ${run} resumed from ${record.base}, past ${newer.map(({ step }) => step)}`;
      inquiry.expect(newer.length === 0, atMs, () => what);
    });
  },
};

/** S8: no false end, and everything counted once. */
const noFalseEnd: Check = {
  id: "S8",
  guards: "I9",
  says: "Complete only with a verified final checkpoint; a disruption is no failure; each attempt is counted once",
  begin: (inquiry) => {
    const faulty = new Set<string>();
    const charges = new Map<string, Map<number, string>>();
    inquiry.on("ContainerEnded", (ended, world) => {
      if (isOwnFault(ended, world)) faulty.add(`${ended.run} ${ended.attempt}`);
    });
    inquiry.on("Write", ({ by, resource, change, before, object, atMs }, world) => {
      if (resource !== "trainingruns" || by.role !== "Operator" || change !== "MODIFIED") return;
      const { uid } = object.metadata;
      const now = statusOf(object);
      const old = before && statusOf(before);
      if (now.state === "Complete" && old?.state !== "Complete") judgeComplete(inquiry, { uid, atMs }, world);
      if (old !== undefined) judgeRewriting(inquiry, { old, now, uid, atMs });
      const known = charges.get(uid) ?? new Map<number, string>();
      charges.set(uid, known);
      for (const { number, endTime, charge, isUndecided } of now.attempts) {
        if (endTime !== null) known.set(number, isUndecided ? "Undecided" : (charge ?? ""));
      }
      judgeTotals(inquiry, { now, known, uid, atMs });
      const own = [...faulty].filter((key) => key.startsWith(`${uid} `)).length;
      const words = `${now.totals.failures} failures are charged to ${uid}, and ${own} attempts ended by their own fault`;
      inquiry.expect(now.totals.failures <= own + now.totals.stalls, atMs, () => words);
    });
  },
};

/** S10: never two at once, where the run waits for silent nodes. */
const oneWriter: Check = {
  id: "S10",
  guards: "one writer",
  says: "no trainer starts while another of its run may run, unless that one was given up on purpose",
  begin: (inquiry) => {
    inquiry.on("ContainerStarted", (started, world) => {
      if (started.container !== "trainer") return;
      const { run, atMs, pod, attempt } = started;
      const rivals = world
        .trainersOf(run)
        .filter((other) => isRival(other, started) && !isGivenUp(inquiry, other, world));
      const what = `the trainer of attempt ${attempt} (${pod}) of ${run} started beside ${rivals.map((other) => other.pod)}`;
      inquiry.expect(rivals.length === 0, atMs, () => what);
    });
  },
};

/** S15: the intent is on record before the act. */
const intentFirst: Check = {
  id: "S15",
  guards: "intent before act",
  says: "no pod is created before its attempt is on record, and none deleted before its end or a stop is",
  begin: (inquiry) => {
    inquiry.on("Write", (write, world) => {
      const { by, resource, object, atMs } = write;
      const pod = world.pods.get(object.metadata.uid);
      if (resource !== "pods" || by.role !== "Operator" || pod === undefined || pod.part.attempt === 0) return;
      const { run, attempt } = pod.part;
      const owner = world.runs.get(run);
      const status = owner && statusOf(owner.object);
      if (write.change === "ADDED") {
        const isOpen = status?.attempts.some(({ number, endTime }) => number === attempt && endTime === null) ?? false;
        inquiry.expect(isOpen, atMs, () => `a pod of attempt ${attempt} of ${run} was created, which is not on record`);
      } else if (isDeletion(write)) {
        const isMeant =
          owner === undefined ||
          owner.deletedAtMs !== null ||
          !status ||
          isOver(status, { attempt, pod: pod.part.pod });
        inquiry.expect(
          isMeant,
          atMs,
          () => `a pod of attempt ${attempt} of ${run} was deleted, and no stop is on record`,
        );
      }
    });
  },
};

/** S4, S7, S8, S10, S15: what is promised of runs. */
export const runSafety: readonly Check[] = [boundedLoss, monotonic, noFalseEnd, oneWriter, intentFirst];

/** What a trainer exits with that was asked to stop. */
const stoppedCode = 143;

/** Where a save takes longer than the interval, the next one begins at the first step of the interval after it. */
function mostLost({ intervalSteps, stepsPerSave }: ExpectedRun): number {
  return Math.ceil(stepsPerSave / intervalSteps) * intervalSteps + stepsPerSave;
}

function lastThatStepped(world: World, run: string, attempt: number) {
  for (let before = attempt - 1; before > 0; before -= 1) {
    for (const { part } of world.podsOf(run, before)) {
      const step = world.stepped.get(part.pod);
      if (step !== undefined && part.worker === 0) return { pod: part.pod, attempt: before, step };
    }
  }
  return undefined;
}

/** What any log of the run refuses, and what the operator will not have. */
function bannedOf(world: World, run: string): ReadonlySet<string> {
  const object = world.runs.get(run)?.object;
  const suspects = object === undefined ? [] : statusOf(object).suspects;
  return new Set([...suspects, ...world.logsOf(run).flatMap((log) => [...log.refused.keys()])]);
}

/** Whether an end is one that a run may be charged for: what ended by itself, unasked. */
function isOwnFault({ pod, how }: ContainerLife, world: World): boolean {
  if (how === "Planned" || how === "OutOfMemory") return true;
  return (how === "Returned" || how === "Killed") && !world.asked.has(pod);
}

function judgeComplete(inquiry: Inquiry, { uid, atMs }: Readonly<{ uid: string; atMs: number }>, world: World): void {
  const final = world.logsOf(uid).flatMap((log) => (log.done === null ? [] : (log.checkpoints.get(log.done) ?? [])));
  const target = inquiry.runOf(world, uid)?.targetStep;
  const isReached = final.some(({ step }) => target === undefined || step === target);
  inquiry.expect(isReached, atMs, () => `${uid} is Complete without a final checkpoint of step ${target}`);
  const isVerified = final.some(({ digest }) => world.isVerified({ run: uid, digest }));
  inquiry.expect(isVerified, atMs, () => `${uid} is Complete, and nobody but its writer has read its final checkpoint`);
}

type Rewriting = Readonly<{ old: StatusView; now: StatusView; uid: string; atMs: number }>;

function judgeRewriting(inquiry: Inquiry, { old, now, uid, atMs }: Rewriting): void {
  for (const entry of old.attempts) {
    const later = now.attempts.find(({ number }) => number === entry.number);
    if (entry.endTime === null || later === undefined) continue;
    const isSame = later.endTime === entry.endTime && later.cause === entry.cause && later.charge === entry.charge;
    // What a gang's end costs is undecided for a while: it may turn out to be no failure, and never the other way.
    const isTakenBack = entry.isUndecided && later.endTime === entry.endTime && later.charge !== "Failure";
    inquiry.expect(
      isSame || isTakenBack,
      atMs,
      () => `the end of attempt ${entry.number} of ${uid} was ${entry.cause}, now ${later.cause}`,
    );
  }
}

type Counting = Readonly<{ now: StatusView; known: ReadonlyMap<number, string>; uid: string; atMs: number }>;

function judgeTotals(inquiry: Inquiry, { now: { totals }, known, uid, atMs }: Counting): void {
  const counted = (charge: string) => [...known.values()].filter((each) => each === charge).length;
  const should = [
    ["attempts", known.size],
    ["disruptions", counted("Disruption")],
    ["failures", counted("Failure")],
  ] as const;
  for (const [field, count] of should) {
    const is = totals[field];
    inquiry.expect(is === count, atMs, () => `totals.${field} of ${uid} is ${is}, and ${count} ended so`);
  }
}

function isRival(other: Living, started: FactOf<"ContainerStarted">): boolean {
  if (other.pod === started.pod) return false;
  return other.attempt !== started.attempt || other.worker === started.worker;
}

/** Somebody has answered for it that it may go on: by policy, by its node, or by taking its pod away by force. */
function isGivenUp(inquiry: Inquiry, rival: Living, world: World): boolean {
  const run = world.runs.get(rival.run);
  const isFenced = run !== undefined && statusOf(run.object).fencedAttempt >= rival.attempt;
  if (isFenced && inquiry.runOf(world, rival.run)?.nodeLost === "Fence") return true;
  const node = world.nodes.get(rival.node);
  if (node === undefined || isOutOfService(node)) return true;
  return (world.pods.get(rival.pod)?.isForced ?? false) && isReady(node);
}

function isReady(node: StoredObject): boolean {
  const conditions = listOf(fieldsOf(node.status).conditions).map(fieldsOf);
  return conditions.some(({ type, status }) => type === "Ready" && status === "True");
}

function isOutOfService(node: StoredObject): boolean {
  const taints = listOf(fieldsOf(node.spec).taints).map(fieldsOf);
  return taints.some(({ key }) => key === "node.kubernetes.io/out-of-service");
}

function isDeletion({ change, before, object }: Event<FactOf<"Write">>): boolean {
  if (change === "DELETED") return before?.metadata.deletionTimestamp === undefined;
  return before?.metadata.deletionTimestamp === undefined && object.metadata.deletionTimestamp !== undefined;
}

/** Whether the status has said that the pod is to go: its attempt is stopped or over, or it was never a part of it. */
function isOver(status: StatusView, { attempt, pod }: Readonly<{ attempt: number; pod: string }>): boolean {
  if (status.stop?.attempt === attempt || status.fencedAttempt >= attempt) return true;
  const entry = status.attempts.find(({ number }) => number === attempt);
  if (entry === undefined) return attempt < status.attempt;
  return entry.endTime !== null || (entry.pods.length > 0 && !entry.pods.includes(pod));
}
