import { describe, expect, test } from "vitest";
import { whatIsWrong } from "../../../checkpoint/test/crash-grid/reader.ts";
import { type Scenario, scenarioNamed, scenarios } from "../../../checkpoint/test/crash-grid/scenarios.ts";
import type { Luck } from "../../../checkpoint/test/power-loss/disk.ts";
import { cutPower, type DiskTree, plantTree, treeOf } from "../model/disk/cut.ts";
import { Disk } from "../model/disk/disk.ts";
import { DiskView } from "../model/disk/disk-view.ts";
import { Chance, type Row } from "./chance.ts";
import { fileReplacements } from "./files.ts";
import { type FileWitness, giveFiles } from "./files-access.ts";
import { installHost } from "./install.ts";
import { SimProcess } from "./process.ts";
import { Scheduler } from "./scheduler.ts";

installHost({ models: fileReplacements() });

/*
 * The protocols of the volume, by the real code over the model disk: every scenario of the crash grid is cut off after each
 * system call that may change the disk, by a kill and by a loss of power, and the real readers look at what is left.
 */

const root = "/checkpoints/run";
/** A process that was not there at a power cut sees the disk anew. */
const cuts = ["kill", "power cut"] as const;

describe("over the model disk", { timeout: 240_000 }, () => {
  test.each(scenarios)("the real code plays $name: $what", async (scenario) => {
    const { disk, told } = await play(scenario, { from: await preparedTree(scenario) });
    expect(told).toBe("done");
    expect(await verdictOn(disk, scenario, { acknowledged: true })).toBe(null);
  });

  test.each(scenarios)("$name, cut off anywhere, leaves the previous state or the new one, whole", async (scenario) => {
    const from = await preparedTree(scenario);
    const { calls } = await play(scenario, { from });
    const wrong: string[] = [];
    // A large file is the same call many times over, and takes as long.
    const stride = scenario.name === "large-save" ? 5 : 1;
    for (let call = 1; call <= calls; call += stride) {
      for (const cut of cuts) {
        const { disk, told } = await play(scenario, { from, killAfter: call });
        if (cut === "power cut") cutPower(disk, luckOf(new Chance(5).row(scenario.name, `${call}`)));
        const verdict = await verdictOn(disk, scenario, { acknowledged: told === "done" });
        if (verdict !== null) wrong.push(`${cut} after call ${call}: ${verdict}`);
      }
    }
    expect(wrong).toEqual([]);
    expect(calls).toBeGreaterThan(5);
  });

  test("a sync that fails is told to the save, and what it leaves is never taken for a checkpoint", async () => {
    const scenario = scenarioNamed("save");
    const from = await preparedTree(scenario);
    for (let after = 0; ; after += 1) {
      const { disk, told, fired } = await play(scenario, { from, failingSync: after });
      if (fired === 0) break;
      expect(told).toMatch(/answered EIO/);
      cutPower(disk, luckOf(new Chance(6).row("sync", `${after}`)));
      expect(await verdictOn(disk, scenario, { acknowledged: false })).toBe(null);
    }
  });
});

type Played = Readonly<{ disk: Disk; told: string; calls: number; fired: number }>;

/** Plays a scenario on a disk of its own. */
async function play(
  scenario: Scenario,
  { from, killAfter, failingSync }: { from: DiskTree; killAfter?: number; failingSync?: number },
): Promise<Played> {
  const disk = newDisk();
  plantTree(disk, from);
  const fault =
    failingSync === undefined ? null : ({ fails: "EIO", calls: ["fsync"], after: failingSync, times: 1 } as const);
  const standing = fault && disk.faults.add(fault);
  let calls = 0;
  const told = await runOn(
    disk,
    () => scenario.run(root).then(() => "done"),
    (process) =>
      (phase, { call }) => {
        if (phase === "before" || !changing.has(call)) return;
        calls += 1;
        if (calls === killAfter) process.kill("for the test");
      },
  );
  return { disk, told, calls, fired: standing?.fired ?? 0 };
}

const changing = new Set<string>([
  ...["open", "write", "fsync", "ftruncate", "mkdir", "rmdir", "rename", "link", "symlink", "unlink"],
]);

async function preparedTree(scenario: Scenario): Promise<DiskTree> {
  const disk = newDisk();
  expect(await runOn(disk, () => scenario.prepare(root).then(() => "done"))).toBe("done");
  return treeOf(disk);
}

async function verdictOn(disk: Disk, scenario: Scenario, read: { acknowledged: boolean }): Promise<string | null> {
  let verdict: string | null = null;
  const told = await runOn(disk, async () => {
    verdict = await whatIsWrong(root, scenario, read);
    return "done";
  });
  return told === "done" ? verdict : told;
}

let runs = 0;

/** Runs a program as a process of its own over a disk; says what it said, or how it ended. */
async function runOn(
  disk: Disk,
  program: () => Promise<string>,
  witness: (process: SimProcess) => FileWitness = () => () => {},
): Promise<string> {
  // No process draws the names that another one left behind.
  runs += 1;
  const scheduler = new Scheduler({ seed: runs });
  const process = new SimProcess(scheduler, { name: "player" });
  const mounts = [
    { path: "/", disk: newDisk() },
    { path: "/checkpoints", disk },
  ];
  giveFiles(process, new DiskView({ node: "node-a", mounts }), witness(process));
  let told = "it came to no end";
  process.atEnd((ending) => {
    told =
      ending.kind === "returned" ? String(ending.value) : ending.kind === "threw" ? String(ending.error) : ending.why;
  });
  process.start(program);
  while (await scheduler.step());
  return told;
}

function newDisk(): Disk {
  return new Disk({ device: 7, clock: () => 0 });
}

function luckOf(row: Row): Luck {
  const next = () => row.next() < 0.5;
  return {
    keepsName: next,
    keepsSectors: (count) => ({ kept: Array.from({ length: count }, next), length: next() }),
  };
}
