import { beforeAll, describe, expect, test, vi } from "vitest";
import { wrongCasts } from "../planted/wrong-programs.ts";
import { exploreOrders, playInTurn } from "./exploration.ts";
import type { Program } from "./processes.ts";
import { damage, opener, pruner, restorer, rollback, time, trainer, withLostReply } from "./programs.ts";
import { whatIsWrong } from "./safety.ts";
import { SharedDisk } from "./shared-disk.ts";

/*
 * The programs themselves, not a drawing of them: saves, restores, retention and all that they use run at once over one
 * disk, and every order of their acts is played. `log-model.test.ts` goes further with fewer words: there the acts are
 * models, and only the fold, the choice and the plan are the program's own.
 */

const maxStates = 8_000;

/** Who runs beside whom, over attempt 1 with checkpoints at steps 10, 20 and, where `steps` is 3, 30. */
const casts: { what: string; steps: 2 | 3; programs: readonly Program[]; told: readonly RegExp[] }[] = [
  {
    what: "a save, the next attempt's restore, and that attempt's first save",
    steps: 2,
    programs: [trainer(1, 30), restorer(2), trainer(2, 40)],
    told: [/^saved 30 of 1/, /^opened 2 at 20/, /^opened 2 at 30/, /^saved 40 of 2/, /^failed FencedError/],
  },
  {
    what: "a save, a rollback below it, and the rollback's first save",
    steps: 2,
    programs: [trainer(1, 30), rollback(2, 10), trainer(2, 15)],
    told: [/^saved 30 of 1/, /^opened 2 at 10/, /^saved 15 of 2/, /^failed FencedError/],
  },
  {
    what: "two pods that believe to be the same attempt",
    steps: 2,
    programs: [restorer(2), restorer(2, "pod-2-again")],
    told: [/^opened 2 at 20/, /^failed Fenced/],
  },
  {
    what: "two saves, of which one loses the reply of its append",
    steps: 2,
    programs: [withLostReply(trainer(1, 30)), trainer(1, 40)],
    told: [/^saved 30 of 1/, /^saved 40 of 1/],
  },
  {
    what: "a save beside a retention pass",
    steps: 3,
    programs: [trainer(1, 40), pruner(1)],
    told: [/^saved 40 of 1/, /^pruned/],
  },
  {
    what: "a retention pass that is overtaken by the next attempt",
    steps: 3,
    programs: [pruner(1), restorer(2)],
    told: [/^pruned/, /^opened 2 at 30/, /^failed FencedError/],
  },
  {
    what: "a save, the next attempt's restore, and a record that is damaged at any instant",
    steps: 2,
    programs: [trainer(1, 30), restorer(2), damage()],
    told: [/^saved 30 of 1/, /^opened 2 at/, /^damaged 3/, /^damaged 4/, /^damaged 5/, /^failed Fenced/],
  },
];

const disks = new Map<string, SharedDisk>();

beforeAll(async () => {
  // What is saved carries its time, and must be the same in every order.
  vi.useFakeTimers({ toFake: ["Date"], now: new Date(time) });
  const two = await playInTurn(new SharedDisk(), [opener(), trainer(1, 10), trainer(1, 20)]);
  const three = await playInTurn(two, [trainer(1, 30)]);
  disks.set("2", two).set("3", three).set("whole", three).set("newest damaged", withNewestDamaged(three));
  return () => void vi.useRealTimers();
});

describe("the programs on one disk, in every order of their acts", { timeout: 180_000 }, () => {
  test.each(casts)("keep one history and what was acknowledged: $what (I1, I2, I3, I6)", async (cast) => {
    const explored = await exploreOrders(diskNamed(String(cast.steps)), cast.programs, { whatIsWrong, maxStates });
    expect(explored.failure).toBeNull();
    for (const words of cast.told) expect([...explored.told].join("\n")).toMatch(new RegExp(words, "m"));
    expect(explored.states).toBeGreaterThan(50);
    process.stdout.write(`programs in every order, ${cast.what}: ${explored.states} states, ${explored.ends} ends\n`);
  });

  test.each(wrongCasts)("show the mistake: $mistake", async ({ disk, programs, shows }) => {
    const { failure } = await exploreOrders(diskNamed(disk), programs, { whatIsWrong, maxStates });
    expect(failure).toMatch(shows);
  });

  test("refuse a damaged newest checkpoint and fall back, where the mistaken one resumes from it", async () => {
    const { failure, told } = await exploreOrders(diskNamed("newest damaged"), [restorer(2)], {
      whatIsWrong,
      maxStates,
    });
    expect(failure).toBeNull();
    expect([...told]).toEqual(["opened 2 at 20"]);
  });
});

function diskNamed(name: string): SharedDisk {
  const disk = disks.get(name);
  if (disk === undefined) throw new Error(`Cannot begin because there is no disk ${name}`);
  return disk;
}

function withNewestDamaged(disk: SharedDisk): SharedDisk {
  const damaged = new SharedDisk(disk);
  const newest = [...damaged.data.keys()].sort().at(-1) ?? "";
  damaged.data.set(newest, new Map([...(damaged.data.get(newest) ?? []), ["model.bin", Uint8Array.of(0, 0)]]));
  return damaged;
}
