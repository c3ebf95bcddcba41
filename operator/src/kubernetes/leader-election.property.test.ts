import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { fairWeather, type Weather } from "../../test/election-network.ts";
import type { ElectionProcess } from "../../test/election-process.ts";
import { ElectionWorld } from "../../test/election-world.ts";
import type { Term } from "./term.ts";

/*
 * Real elections in a virtual world (test/election-world.ts): whatever befalls the network, the processes, their clocks
 * and the Lease itself, no two terms let a write through at one instant of true time; and once all that stops, one
 * process leads within 17 s, and goes on leading.
 */

const slots = 3;
const drift = 0.01;
const hourMs = 3_600_000;
const runs = { numRuns: 100 };

/** A world with a process in each of its slots: clocks a hundredth slow, right and a hundredth fast, an hour apart. */
class Scene {
  readonly world: ElectionWorld;
  readonly #bySlot = new Map<number, ElectionProcess>();
  #deletedAtMs = Number.NEGATIVE_INFINITY;

  constructor(seed: number) {
    this.world = new ElectionWorld(seed);
    this.world.enter();
    for (let slot = 0; slot < slots; slot += 1) this.start(slot);
  }

  /** The process that lives there. */
  at(slot: number): ElectionProcess | undefined {
    const found = this.#bySlot.get(slot);
    return found?.isDead === false ? found : undefined;
  }

  start(slot: number): void {
    const clocks = { rate: 1 + drift * (slot - 1), wallOffsetMs: hourMs * (slot - 1) };
    this.#bySlot.set(slot, this.world.start({ ...clocks, work: (term) => this.#lingering(term) }));
  }

  /** A process that finds no Lease makes one: it must not be new where one was deleted a moment ago. */
  restart(slot: number): void {
    if (this.at(slot) === undefined && this.world.nowMs - this.#deletedAtMs > 12_000) this.start(slot);
  }

  /** Nor may one be deleted that somebody has not seen: there is nothing that a creation could be compared with. */
  deleteLease(): void {
    const { lease } = this.world.network;
    if (!this.world.alive.every(({ shownUid }) => shownUid === lease.record?.uid)) return;
    lease.delete();
    this.#deletedAtMs = this.world.nowMs;
  }

  weather(weather: Weather, forMs: number): void {
    const { network } = this.world;
    network.weather = weather;
    this.world.at(forMs, null, () => {
      network.weather = { ...fairWeather, silentWatches: network.weather.silentWatches };
    });
  }

  chance(): number {
    return this.world.random() < 0.5 ? 0 : this.world.random() ** 2;
  }

  /** Work that takes a while to end when it is asked to, up to longer than it is given. */
  async #lingering(term: Term): Promise<void> {
    await new Promise<void>((resolve) => term.leaving.addEventListener("abort", () => resolve(), { once: true }));
    await new Promise<void>((resolve) => setTimeout(resolve, this.world.random() * 3_000));
  }
}

/** What befalls a scene, for a while, or one of its processes. */
const faults = {
  storm(scene: Scene, { forMs }: Fault) {
    const unheard = { loseRequest: scene.chance(), loseAnswer: scene.chance(), late: scene.chance() };
    const { silentWatches } = scene.world.network.weather;
    scene.weather({ ...unheard, refuse: scene.chance(), error: scene.chance(), silentWatches }, forMs);
  },
  noAnswers: (scene: Scene, { forMs }: Fault) =>
    scene.weather({ ...fairWeather, loseRequest: 0.5, loseAnswer: 0.9, silentWatches: true }, forMs),
  lateness: (scene: Scene, { forMs }: Fault) =>
    scene.weather({ ...fairWeather, late: 0.5, silentWatches: scene.world.network.weather.silentWatches }, forMs),
  cutOff(scene: Scene, { forMs, slot }: Fault) {
    const process = scene.at(slot);
    if (process === undefined) return;
    process.isCutOff = true;
    scene.world.at(forMs, null, () => {
      process.isCutOff = false;
    });
  },
  silence(scene: Scene) {
    scene.world.network.weather = { ...scene.world.network.weather, silentWatches: true };
  },
  pause: (scene: Scene, { forMs, slot }: Fault) => scene.at(slot)?.pause(forMs),
  // The machine of the first slot is suspended now and then; the other clocks are set. A clock that is set back by as much
  // as its machine was suspended, at the same time, is beyond what a process can notice.
  suspend: (scene: Scene, { forMs }: Fault) => scene.at(0)?.suspend(forMs),
  setClock: (scene: Scene, { forMs, slot }: Fault) => scene.at(Math.max(1, slot))?.setWall((forMs - 15_000) * 240),
  terminate: (scene: Scene, { slot }: Fault) => scene.at(slot)?.terminate(),
  kill: (scene: Scene, { slot }: Fault) => scene.at(slot)?.kill(),
  restart: (scene: Scene, { slot }: Fault) => scene.restart(slot),
  deleteLease: (scene: Scene) => scene.deleteLease(),
  renameHolder: (scene: Scene) => scene.world.network.lease.edit({ holderIdentity: "someone" }),
  clearHolder: (scene: Scene) => scene.world.network.lease.edit({ holderIdentity: "" }),
  spoilFields: (scene: Scene) =>
    scene.world.network.lease.edit({ leaseDurationSeconds: 2, leaseTransitions: 2 ** 31 - 1, renewTime: null }),
};

type Fault = Readonly<{ kind: keyof typeof faults; afterMs: number; forMs: number; slot: number }>;

const script = fc.record({
  seed: fc.integer(),
  happen: fc.array(
    fc.record({
      kind: fc.constantFrom(...(Object.keys(faults) as (keyof typeof faults)[])),
      afterMs: fc.integer({ min: 0, max: 20_000 }),
      forMs: fc.integer({ min: 100, max: 30_000 }),
      slot: fc.nat(slots - 1),
    }),
    { minLength: 3, maxLength: 14 },
  ),
});

/** Every fault at its time; then all of them end, and somebody is left who wants to lead. */
async function chaos(scene: Scene, happen: readonly Fault[]): Promise<void> {
  const { world } = scene;
  for (const fault of happen) {
    await world.pass(fault.afterMs);
    faults[fault.kind](scene, fault);
  }
  await world.pass(5_000);
  world.heal();
  if (world.alive.every(({ isLeaving }) => isLeaving)) scene.start(0);
}

describe("an election, in a virtual world", () => {
  test("no two terms let a write through at once, and one leads within 17 s after the faults", async () => {
    const seen = { worlds: 0, terms: 0, ended: 0, vacant: 0, unheard: 0, late: 0, conflicts: 0 };
    await fc.assert(
      fc.asyncProperty(script, async ({ seed, happen }) => {
        const scene = new Scene(seed);
        const { world } = scene;
        try {
          await chaos(scene, happen);
          if (world.leaders.length === 0) seen.vacant += 1;
          await world.pass(17_000);
          const leaders = namesOf(world.leaders);
          expect(leaders).toHaveLength(1);
          await world.pass(20_000);
          expect(namesOf(world.leaders)).toEqual(leaders);
          expect(world.violations).toEqual([]);
          const terms = world.processes.flatMap((process) => process.terms);
          seen.worlds += 1;
          seen.terms += terms.length;
          seen.ended += terms.filter(({ signal }) => signal.aborted).length;
          seen.unheard += world.network.counts.unheardWrites;
          seen.late += world.network.counts.lateWrites;
          seen.conflicts += world.network.lease.counts.conflicts;
        } finally {
          world.leave();
        }
      }),
      runs,
    );
    // Each happens in a hundred worlds many times over; how often differs much from one draw of worlds to the next.
    expect(Object.entries(seen).filter(([, count]) => count < seen.worlds / 20)).toEqual([]);
  });

  test("the check sees two leaders where clocks drift by more than a lease can bear", async () => {
    const world = new ElectionWorld(1);
    world.enter();
    try {
      const slow = world.start({ rate: 0.6 });
      await world.pass(1_000);
      expect(world.leaders).toEqual([slow]);
      world.start({ rate: 1.4 });
      await world.pass(1_000);
      slow.isCutOff = true;
      await world.pass(30_000);
      expect(world.violations.length).toBeGreaterThan(0);
    } finally {
      world.leave();
    }
  });
});

function namesOf(processes: readonly ElectionProcess[]): readonly string[] {
  return processes.map(({ name }) => name);
}
