import fc from "fast-check";
import { describe, expect, test } from "vitest";
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

/*
 * nodeLost: Fence in the model of the cluster, with a node that falls silent while what runs on it trains and saves on,
 * and comes back at any time. Under Wait the properties of `decide` hold of the same events.
 */

type EventName = keyof World["events"];

const claimTemplate = { accessModes: ["ReadWriteMany"], resources: { requests: { storage: "1Gi" } } };
const spec = { nodeLost: { policy: "Fence", afterSeconds: 30 }, checkpoint: { volume: { claimTemplate } } };
const edits: readonly EventName[] = ["suspend", "resume", "editTemplate", "editWorkers", "editFork", "editBack"];
const names = (Object.keys(createWorld().events) as EventName[]).filter((name) => !edits.includes(name));
const careful = names.filter((name) => name !== "stripFinalizer");
/** A node that is lost for long, whose pod trains and saves on. Whatever the other events do may come in between. */
const loss: readonly EventName[] = [
  "start",
  "train",
  "silence",
  "save",
  "tick",
  "tick",
  "tick",
  "tick",
  "tick",
  "train",
  "save",
];
const script = (from: readonly EventName[]) => {
  const one = fc.constantFrom(...from, "start", "train", "save").map((name) => [name]);
  const events = fc.oneof({ weight: 6, arbitrary: one }, { weight: 1, arbitrary: fc.constant(loss) });
  return fc.array(events, { minLength: 10, maxLength: 20 }).map((parts) => parts.flat());
};
const runs = { numRuns: 60 };
const size = fc.constantFrom(...gangSizes);

/** Time goes by, and kubelets that are heard of end what is asked to stop, until a count that goes on is over. */
function outwait(world: World): void {
  for (let looks = 0; looks < 5 && statusOf(world).silence !== undefined; looks += 1) {
    world.wait(10_000);
    world.events.terminate();
    settleOperator(world);
  }
}

/** Pods that the run may still count on: what was given up is not waited for, whatever it does. */
const trusted = (world: World) => world.alive().filter(({ attempt }) => attempt > (statusOf(world).fencedAttempt ?? 0));

describe("nodeLost: Fence, in a model of the cluster", () => {
  test("whatever happens, a lost node is left behind, one pod is trusted at a time, and no number is made twice", () => {
    const seen = { fenced: 0, zombies: 0, voided: 0, complete: 0 };
    fc.assert(
      fc.property(script(names), fc.boolean(), size, (events, polls, workers) => {
        const world = createWorld({ spec, polls, workers });
        let fencedBefore = 0;
        for (const event of events) {
          world.events[event]();
          settleOperator(world);
          const { fencedAttempt = 0, attempt = 0, latestVerified, checkpoints = [] } = statusOf(world);
          expect(fencedAttempt).toBeGreaterThanOrEqual(fencedBefore);
          expect(fencedAttempt).toBeLessThanOrEqual(attempt);
          expect(attemptsOf(trusted(world)).size).toBeLessThanOrEqual(1);
          const void_ = new Set(world.voided.map(({ digest }) => digest));
          for (const known of [...checkpoints, ...(latestVerified ? [latestVerified] : [])]) {
            expect(void_.has(known.digest)).toBe(false);
          }
          if (fencedAttempt > fencedBefore) seen.fenced += 1;
          fencedBefore = fencedAttempt;
          seen.zombies += world.zombies.length;
        }
        outwait(world);
        expect(statusOf(world).silence).toBeUndefined();
        world.events.thaw();
        heal(world);
        settleCharges(world);
        expect(new Set(world.creates).size).toBe(world.creates.length);
        expect(isOver(world), JSON.stringify(statusOf(world).conditions)).toBe(true);
        const { totals, attempt, state } = statusOf(world);
        expect(totals?.attempts).toBe(attempt);
        expect([world.zombies, world.alive()]).toEqual([[], []]);
        seen.voided += world.voided.length;
        if (state === "Complete") seen.complete += 1;
      }),
      runs,
    );
    expect(seen.fenced).toBeGreaterThan(10);
    expect(seen.zombies).toBeGreaterThan(100);
    expect(seen.voided).toBeGreaterThan(2);
    expect(seen.complete).toBeGreaterThan(15);
  });

  test("an operator that dies after any of its writes makes the same pods, removes the same, and comes to the same end", () => {
    const seen = { crashes: 0, fenced: 0 };
    fc.assert(
      fc.property(
        script(careful),
        fc.array(fc.nat({ max: 4 }), { minLength: 1, maxLength: 80 }),
        size,
        (events, cuts, workers) => {
          const plain = createWorld({ spec, workers });
          seen.crashes += playCut({ plain, cut: createWorld({ spec, workers }) }, events, cuts);
          if (plain.deletes.some((name) => name.endsWith("by force"))) seen.fenced += 1;
        },
      ),
      runs,
    );
    expect(seen.crashes).toBeGreaterThan(200);
    expect(seen.fenced).toBeGreaterThan(9);
  });
});
