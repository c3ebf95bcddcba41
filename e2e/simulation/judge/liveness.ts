import type { StoredObject } from "../model/api/object.ts";
import type { ExpectedRun } from "./expected.ts";
import type { Check } from "./oracle.ts";
import { conditionOf, statusOf } from "./status-view.ts";
import type { RunView, World } from "./world.ts";

/** E1: everything comes to its end, and then to rest. */
const comesToRest: Check = {
  id: "E1",
  guards: "L1",
  says: "once faults have stopped every run reaches what it asks for, and then no operator writes anything",
  begin: (inquiry) => {
    const eventsAbout = new Map<string, number>();
    inquiry.on("Write", ({ by, resource, change, object, atMs }, world) => {
      if (by.role !== "Operator" || resource === "leases") return;
      if (resource === "events") {
        const count = (eventsAbout.get(regarded(object)) ?? 0) + 1;
        eventsAbout.set(regarded(object), count);
        // What was told beyond that is held for minutes.
        if (count > eventBurst) return;
      }
      if (world.part !== "Quiet") return;
      const what = `${by.name} wrote ${resource} ${object.metadata.name} (${change}) when nothing was left to do`;
      inquiry.expect(false, atMs, () => what);
    });
    inquiry.atEnd((world, endMs) => {
      for (const expected of inquiry.expected.runs) {
        const run = world.runNamed(expected.namespace, expected.name);
        const what = `${expected.name} should be ${expected.end} and is ${run === undefined ? "absent" : stateOf(run)}`;
        inquiry.expect(hasReached(run, expected), endMs, () => what);
      }
    });
  },
};

/** So many events about one object are written as they come, by the allowance of the event book. */
const eventBurst = 25;

/** The uid of the object that an event is about; its own where it says none. */
function regarded(event: StoredObject): string {
  const { regarding } = event as { regarding?: { uid?: string } };
  return regarding?.uid ?? event.metadata.uid;
}

/** E2: the work is done. */
const reachesTarget: Check = {
  id: "E2",
  guards: "L2",
  says: "with capacity the step rises to its target",
  begin: (inquiry) => {
    inquiry.atEnd((world, endMs) => {
      for (const { namespace, name, end, targetStep } of inquiry.expected.runs) {
        const run = world.runNamed(namespace, name);
        if (run === undefined || (end !== "Complete" && stateOf(run) !== "Complete")) continue;
        const { step, latestVerified } = statusOf(run.object);
        const furthest = Math.max(step ?? 0, latestVerified?.step ?? 0);
        inquiry.expect(furthest === targetStep, endMs, () => `${name} came to step ${furthest} of ${targetStep}`);
      }
    });
  },
};

/** E3: whoever does not get on says why. */
const saysWhy: Check = {
  id: "E3",
  guards: "L3",
  says: "a run that makes no step for longer than its patience has a condition that says why",
  begin: (inquiry) => {
    const since = new Map<string, number>();
    const inReach = new Map<string, number>();
    const lookedAt = new Map<string, number>();
    const refusing = new Set<string>();
    let refusedUntil = Number.NEGATIVE_INFINITY;
    inquiry.on(
      "Reach",
      ({ operator, holds, atMs }) => void (holds ? inReach.set(operator, atMs) : inReach.delete(operator)),
    );
    inquiry.on("ProgramEnded", ({ who }) => void inReach.delete(who.name));
    inquiry.on("FaultBegan", ({ id, fault }) => void (fault === refusal && refusing.add(id)));
    inquiry.on("FaultEnded", ({ id, atMs }) => {
      if (refusing.delete(id)) refusedUntil = atMs;
    });
    inquiry.on("Stepped", ({ run, atMs }) => void since.set(run, atMs));
    const look = (atMs: number, world: World) => {
      for (const [uid, run] of world.runs) {
        const patienceMs = inquiry.runOf(world, uid)?.patienceMs;
        if (patienceMs === undefined || run.isGone || atMs - (lookedAt.get(uid) ?? 0) < minuteMs) continue;
        lookedAt.set(uid, atMs);
        if (!since.has(uid)) since.set(uid, atMs);
        const standsFor = atMs - (since.get(uid) ?? atMs);
        // Nobody can write a condition while no operator reaches the server, or it takes none.
        const isTaken = refusing.size === 0 && atMs - refusedUntil > patienceMs;
        const canTell = isTaken && [...inReach.values()].some((at) => atMs - at > patienceMs);
        if (standsFor <= patienceMs || !canTell) continue;
        const what = `${run.object.metadata.name} has made no step for ${standsFor} ms, and no condition says why`;
        inquiry.expect(hasReason(run), atMs, () => what);
      }
    };
    inquiry.on("Request", ({ atMs }, world) => look(atMs, world));
    inquiry.on("Write", ({ atMs }, world) => look(atMs, world));
  },
};

/** E1, E2, E3: what must happen once nothing stands in the way. */
export const liveness: readonly Check[] = [comesToRest, reachesTarget, saysWhy];

const minuteMs = 60_000;
/** The fault by which the server takes no status. */
const refusal = "StatusRefused";

function hasReached(run: RunView | undefined, { end, orBefore }: ExpectedRun): boolean {
  return run !== undefined && [end, orBefore].some((each) => each === stateOf(run));
}

function stateOf({ object, isGone }: RunView): string {
  return isGone ? "Deleted" : (statusOf(object).state ?? "without a state");
}

/** `Progressing` is false with a reason, or the run is over or suspended and says so. */
function hasReason({ object }: RunView): boolean {
  const progressing = conditionOf(object, "Progressing");
  if (progressing?.status === "False" && progressing.reason !== "" && progressing.message !== "") return true;
  return ["Complete", "Failed", "Suspended"].some((type) => conditionOf(object, type)?.status === "True");
}
