import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { StoreState } from "../../test/removal-model.ts";
import { type Fields, specWith } from "../../test/run-builder.ts";
import { createWorld, type World } from "../../test/world.ts";
import {
  attemptsOf,
  gangSizes,
  heal,
  isOver,
  playCut,
  settleCharges,
  settleOperator,
  statusOf,
} from "../../test/world-play.ts";
import type { ObservedPod } from "./observed.ts";

/*
 * Whatever befalls a run, in any order, it settles; and an operator that dies between any two writes comes to the
 * same end. Each property counts how often the thing it is about really happened: one that could not fail would
 * be worse than none.
 */

type EventName = keyof World["events"];

const names = Object.keys(createWorld().events) as EventName[];
const careful = names.filter((name) => name !== "stripFinalizer");
const edits: readonly EventName[] = ["suspend", "resume", "editTemplate", "editWorkers", "editFork", "editBack"];
const unedited = careful.filter((name) => !edits.includes(name));
const script = (from: readonly EventName[]) =>
  fc.array(fc.constantFrom(...from, "start", "start", "train", "save", "evict", "terminate", "terminate"), {
    minLength: 8,
    maxLength: 25,
  });
const runs = { numRuns: 50 };
const size = fc.constantFrom(...gangSizes);

/** How many ends of gangs may still turn out to be no fault of the program. */
const undecidedCharges = ({ attempts = [] }: ReturnType<typeof statusOf>) =>
  attempts.filter(({ chargeDueTime }) => chargeDueTime !== undefined).length;

/** A gang that goes on is never without its Service for long; one that is asked to stop needs it no more. */
const mustStand = (world: World) =>
  world.hasService || statusOf(world).stop !== undefined || statusOf(world).silence !== undefined;

/** Ends the attempt that lives by no fault of its own, and tells how far it had come. */
function disrupt(world: World, kind: "at its start" | "before it saves" | "having saved"): number {
  const { events } = world;
  const act = (...acts: readonly (() => void)[]) => {
    for (const each of acts) {
      each();
      settleOperator(world);
    }
  };
  if (kind !== "at its start") act(events.start, events.train);
  const reached = Math.max(0, ...world.alive().map(({ step }) => step));
  if (kind === "having saved") act(events.evict, events.terminate);
  else act(events.stripFinalizer);
  return reached;
}

/** The operator looks again just when it asked to, and half of that time later than it ended, as one that restarts. */
function awaitNext(world: World): void {
  for (let looks = 0; world.alive().length === 0; looks += 1) {
    const due = statusOf(world).retry?.nextAttemptTime;
    const wait = world.pass().decision?.requeueAfterMs;
    if (due === undefined || wait === undefined || looks > 3) throw new Error("Nothing wakes the run");
    world.wait(looks === 0 ? Math.floor(wait / 2) : wait);
    settleOperator(world);
    if (looks === 0) expect(statusOf(world).retry?.nextAttemptTime).toBe(due);
  }
}

describe("decide, in a model of the cluster", () => {
  test("L1, L2: any interleaving settles in Complete, or in Failed with its budget spent", () => {
    const seen = { complete: 0, failed: 0, disrupted: 0 };
    fc.assert(
      fc.property(script(names), fc.boolean(), size, (events, polls, workers) => {
        const world = createWorld({ polls, workers });
        for (const event of events) {
          world.events[event]();
          settleOperator(world);
          if (world.livingWorkers() > 1 && world.creates.length > 0) expect(mustStand(world)).toBe(true);
        }
        heal(world);
        settleCharges(world);
        const status = statusOf(world);
        expect(isOver(world), JSON.stringify(status.conditions)).toBe(true);
        const writes = world.writes;
        settleOperator(world);
        expect(world.writes).toBe(writes);
        expect(world.alive()).toEqual([]);
        seen.disrupted += Math.min(1, status.totals?.disruptions ?? 0);
        if (status.state === "Complete") seen.complete += 1;
        else {
          seen.failed += 1;
          expect(status.retry?.failuresLeft).toBe(0);
        }
      }),
      runs,
    );
    expect(seen.complete).toBeGreaterThan(12);
    expect(seen.disrupted).toBeGreaterThan(5);
  });

  test("a crash after any prefix of any decision's writes comes to the same world with the same creates", () => {
    let crashes = 0;
    fc.assert(
      fc.property(
        script(careful),
        fc.array(fc.nat({ max: 4 }), { minLength: 1, maxLength: 60 }),
        size,
        (events, cuts, workers) => {
          const plain = createWorld({ workers });
          crashes += playCut({ plain, cut: createWorld({ workers }) }, events, cuts);
        },
      ),
      runs,
    );
    expect(crashes).toBeGreaterThan(200);
  });

  test("I8, I9: numbers never fall, every pod is counted once, a disruption never spends the failure budget", () => {
    const seen = { disruptions: 0, counted: 0 };
    fc.assert(
      fc.property(script(names), fc.boolean(), size, (events, polls, workers) => {
        const world = createWorld({ polls, workers });
        let before = statusOf(world);
        const charges = new Map<number, string>();
        const check = () => {
          const after = statusOf(world);
          // What an end costs is decided once, and stays so.
          for (const { number, endTime, chargeDueTime, charge = "" } of after.attempts ?? []) {
            if (endTime === undefined || chargeDueTime !== undefined) continue;
            expect([number, charge]).toEqual([number, charges.get(number) ?? charge]);
            charges.set(number, charge);
          }
          expect(after.attempt ?? 0).toBeGreaterThanOrEqual(before.attempt ?? 0);
          expect(after.observedGeneration ?? 0).toBeGreaterThanOrEqual(before.observedGeneration ?? 0);
          const disrupted = (after.totals?.disruptions ?? 0) - (before.totals?.disruptions ?? 0);
          const failed = (after.totals?.failures ?? 0) - (before.totals?.failures ?? 0);
          if (disrupted > 0 && failed === 0 && undecidedCharges(after) <= undecidedCharges(before)) {
            seen.disruptions += 1;
            expect(after.retry?.failures ?? 0).toBeLessThanOrEqual(before.retry?.failures ?? 0);
          }
          before = after;
        };
        for (const event of events) {
          world.events[event]();
          settleOperator(world);
          check();
        }
        heal(world);
        settleCharges(world);
        check();
        const { totals, attempt = 0 } = statusOf(world);
        const counted = (charge: string) => [...charges.values()].filter((each) => each === charge).length;
        expect([totals?.attempts, charges.size]).toEqual([attempt, attempt]);
        expect([totals?.failures, totals?.disruptions]).toEqual([counted("Failure"), counted("Disruption")]);
        expect(new Set(world.accounted).size).toBe(world.accounted.length);
        seen.counted += world.accounted.length;
      }),
      runs,
    );
    expect(seen.disruptions).toBeGreaterThan(5);
    expect(seen.counted).toBeGreaterThan(35);
  });

  // The controller waits until its caches show its own writes; where an operator that restarts may not, a creation
  // is repeated under the same name. Only an edit in that very moment needs what the controller waits for.
  test.each([
    { title: "that lacks even the operator's own creations", from: unedited, ownCreationsSeen: false },
    { title: "that lacks all but the operator's own creations", from: careful, ownCreationsSeen: true },
  ])("a stale view $title never makes two pods of one attempt, nor two at once", ({ from, ownCreationsSeen }) => {
    let stale = 0;
    fc.assert(
      fc.property(
        script(from),
        fc.array(fc.nat({ max: 3 }), { minLength: 25, maxLength: 25 }),
        size,
        (events, lags, workers) => {
          const world = createWorld({ workers });
          const views: (readonly ObservedPod[])[] = [world.podsNow()];
          events.forEach((event, index) => {
            world.events[event]();
            const old = views.at(-1 - (lags[index] ?? 0)) ?? [];
            const unseen = world.podsNow().filter(({ uid }) => !old.some((pod) => pod.uid === uid));
            if (JSON.stringify(old) !== JSON.stringify(world.podsNow())) stale += 1;
            world.pass({ view: ownCreationsSeen ? [...old, ...unseen] : old });
            expect(attemptsOf(world.alive()).size).toBeLessThanOrEqual(1);
            views.push(world.podsNow());
          });
          heal(world);
          expect(new Set(world.creates).size).toBe(world.creates.length);
          expect(isOver(world)).toBe(true);
        },
      ),
      runs,
    );
    expect(stale).toBeGreaterThan(100);
  });

  test("a storm of disruptions backs off unless steps are gained, and spends no failure", () => {
    const seen = { gained: 0, waited: 0, repeated: 0 };
    const kinds = ["at its start", "before it saves", "having saved"] as const;
    const storm = (from: readonly (typeof kinds)[number][]) =>
      fc.noShrink(fc.array(fc.constantFrom(...from), { minLength: 150, maxLength: 150 }));
    fc.assert(
      fc.property(storm(kinds.slice(0, 2)), storm(kinds), (unsaved, later) => {
        const world = createWorld();
        settleOperator(world);
        let furthest = 0;
        let inARow = 0;
        for (const kind of [...unsaved, ...later]) {
          const reached = disrupt(world, kind);
          const endedAt = world.now;
          inARow = reached > furthest ? 0 : inARow + 1;
          furthest = Math.max(furthest, reached);
          awaitNext(world);
          const waited = (world.now - endedAt) / 1000;
          if (inARow === 0) {
            expect(waited).toBe(0);
            seen.gained += 1;
            continue;
          }
          expect(waited).toBeGreaterThanOrEqual(0.75 * Math.min(300, 10 * 2 ** (inARow - 1)));
          expect(waited).toBeLessThanOrEqual(300);
          if (kind === "before it saves") seen.repeated += 1;
          seen.waited += 1;
        }
        const { retry, totals, attempt } = statusOf(world);
        expect(retry).toMatchObject({ failures: 0, failuresLeft: 3, disruptions: 300 });
        expect([totals?.failures, attempt]).toEqual([0, 301]);
      }),
      { numRuns: 3 },
    );
    expect(seen.gained).toBeGreaterThan(5);
    expect(seen.waited).toBeGreaterThan(500);
    expect(seen.repeated).toBeGreaterThan(150);
  });

  test("L3: a run in which nothing happens for an hour says that it does not advance, and why", () => {
    const seen = { hung: 0, other: 0 };
    fc.assert(
      fc.property(script(names), fc.boolean(), size, (events, polls, workers) => {
        const world = createWorld({ polls, workers });
        const act = (deed: () => void) => {
          deed();
          settleOperator(world);
        };
        for (const event of events) act(world.events[event]);
        // What waited begins, trains perhaps, and then nothing happens any more.
        act(world.events.terminate);
        act(() => world.wait(3_600_000));
        act(world.events.start);
        act(world.events.train);
        act(() => world.wait(3_600_000));
        const said = statusOf(world).conditions?.find(({ type }) => type === "Progressing");
        expect(said?.status).not.toBe("True");
        expect(said?.message).not.toBe("");
        if (said?.reason === "NoStep") seen.hung += 1;
        else seen.other += 1;
      }),
      runs,
    );
    expect(seen.hung).toBeGreaterThan(0);
    expect(seen.other).toBeGreaterThan(10);
  });

  test("L5: a run deleted at any moment is let go, and so are its pods", () => {
    let midway = 0;
    fc.assert(
      fc.property(script(names), size, (events, workers) => {
        const world = createWorld({ workers });
        for (const event of events) {
          world.events[event]();
          settleOperator(world);
        }
        if (world.alive().length > 0) midway += 1;
        world.deleteRun();
        settleOperator(world);
        world.events.terminate();
        settleOperator(world);
        // A pod that nobody can ask has its grace period and a minute.
        if (world.run !== null && world.silentNode !== null) {
          world.wait(91_000);
          settleOperator(world);
        }
        expect(world.run).toBeNull();
        expect(world.pods.filter(({ finalizers }) => finalizers.length > 0)).toEqual([]);
      }),
      runs,
    );
    expect(midway).toBeGreaterThan(5);
  });
});

describe("a deleted run whose objects go with it, in the model", () => {
  const objectStore = { endpoint: "https://s3.example.com", bucket: "checkpoints", credentialsSecretName: "s3" };
  const volume = specWith().checkpoint as Fields;
  const states = fc.array(fc.constantFrom<StoreState>("Up", "Down", "Evicted"), { minLength: 1, maxLength: 6 });
  const places = fc.constantFrom({ ...volume, objectStore }, { objectStore });

  test("L5: is let go once they are removed, or in time, and is never let go in silence", () => {
    const seen = { removed: 0, abandoned: 0, retried: 0 };
    fc.assert(
      fc.property(script(names), places, states, fc.array(fc.nat({ max: 3 })), (events, checkpoint, fates, cuts) => {
        const world = createWorld({ spec: { checkpoint, deletionPolicy: "Delete" } });
        for (const event of events) {
          world.events[event]();
          settleOperator(world);
        }
        const told: string[] = [];
        const limit = () => cuts.shift() ?? Number.POSITIVE_INFINITY;
        const look = () => {
          for (let pass = 0; pass < 30; pass += 1) {
            const { decision, wrote } = world.pass({ limit: limit() });
            if (decision?.actions.some(({ kind }) => kind === "ReleaseRun")) {
              told.push(...decision.events.map(({ reason }) => reason));
            }
            if (!wrote) return;
          }
          throw new Error("The operator still writes after 30 passes in an unchanged world");
        };
        world.deleteRun();
        // A last fate that stays: whatever it is, its pod is begun within twelve minutes and given up after ten more.
        for (let ticks = 0; ticks < 200 && world.run !== null; ticks += 1) {
          look();
          world.events.terminate();
          world.removal.work(fates[Math.min(ticks, fates.length - 1)] ?? "Up");
          world.events.tick();
        }
        expect(world.run).toBeNull();
        expect(world.pods.filter(({ finalizers }) => finalizers.length > 0)).toEqual([]);
        if (world.creates.length === 0) return;
        expect(told.includes("ObjectsAbandoned")).toBe(world.removal.objects);
        if (world.removal.created > 1) seen.retried += 1;
        if (world.removal.objects) seen.abandoned += 1;
        else seen.removed += 1;
      }),
      runs,
    );
    expect(seen.removed).toBeGreaterThan(5);
    expect(seen.abandoned).toBeGreaterThan(4);
    expect(seen.retried).toBeGreaterThan(4);
  });
});
