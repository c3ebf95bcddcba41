import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { readControlFile, requestSave, writeAtomically } from "@trainingrun/agent/control-directory.ts";
import { pointResumeAt } from "@trainingrun/agent/resume-link.ts";
import { Pace } from "@trainingrun/agent/serve/pace.ts";
import { availableBytes } from "@trainingrun/agent/serve/volume-care-space.ts";
import { TerminationLog } from "@trainingrun/agent/termination-log.ts";
import type { AgentEnvironment } from "@trainingrun/checkpoint/contract/pod-environment.ts";
import { MountedAccess } from "@trainingrun/checkpoint/store/object/credentials.ts";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { type DiskTree, plantTree, treeOf } from "../model/disk/cut.ts";
import { Disk } from "../model/disk/disk.ts";
import { DiskView } from "../model/disk/disk-view.ts";
import { fileReplacements } from "./files.ts";
import { giveFiles } from "./files-access.ts";
import { installHost } from "./install.ts";
import { SimProcess } from "./process.ts";
import { Scheduler } from "./scheduler.ts";

const { answered } = installHost({ models: fileReplacements() });

/* What the agent does with files beside the checkpoints, by its own code over a model disk. */

describe("the agent's files", () => {
  test("in the control directory come whole, and are read back", async () => {
    const { told, tree } = await run(async () => {
      await writeAtomically("/control/progress.json", '{"step":7}');
      await requestSave("/control");
      return readControlFile("/control/progress.json", z.object({ step: z.number() }));
    });
    expect([told, names(tree)]).toEqual([{ step: 7 }, ["control", "control/progress.json", "control/save"]]);
  });

  test("lead to the checkpoint that is resumed from, and to none when there is none", async () => {
    const { told, tree } = await run(async () => {
      await pointResumeAt("/control/resume", "/checkpoints/data/a");
      await pointResumeAt("/control/resume", "/checkpoints/data/b");
      await pointResumeAt("/other/resume", "/checkpoints/data/a");
      await pointResumeAt("/other/resume", null);
    });
    expect(told).toBe(undefined);
    expect(tree.get("control/resume")).toEqual({ target: "/checkpoints/data/b" });
    expect(names(tree)).toEqual(["control", "control/resume", "other"]);
  });

  test("are the termination log, rewritten in place", async () => {
    const { tree } = await run(async () => {
      const log = new TerminationLog("/termination-log");
      for (const text of ["a long first record", "a short one", "the last"]) log.writeText(text);
    });
    expect(textOf(tree, "termination-log")).toBe("the last");
  });

  test("are the keys of an object store, which a kubelet replaces through a link", async () => {
    const secret = new Map<string, Uint8Array | null | { target: string }>([
      ["secret", null],
      ["secret/..1", null],
      ["secret/..1/accessKeyId", Buffer.from("id")],
      ["secret/..1/secretAccessKey", Buffer.from("of no matter\n")],
      ["secret/..data", { target: "..1" }],
    ]);
    const { told } = await run(() => new MountedAccess("/secret").current(), secret);
    const credentials = { accessKeyId: "id", secretAccessKey: "of no matter", sessionToken: null };
    expect(told).toEqual({ credentials, authority: null });
  });

  test("wake it when they change, at the instant of the change, and else it looks by itself", async () => {
    const { told } = await run(async (process) => {
      using pace = new Pace([{ directory: "/control", wakesFor: (name) => name === "done" }], { pollMs: 60_000 });
      await writeAtomically("/control/other", "");
      const looks: number[] = [];
      const signal = new AbortController().signal;
      const changes = process.later(5_000).then(() => writeAtomically("/control/done", ""));
      for (let look = 0; look < 3; look += 1) {
        await pace.next(signal);
        looks.push(process.scheduler.now);
      }
      await changes;
      return looks;
    });
    expect(told).toEqual([0, 5_000, 65_000]);
  });

  test("tell how much room is left, what is on its way to be a checkpoint among it", async () => {
    const saving = new Map<string, Uint8Array | null>([
      ["data", null],
      ["data/.saving-1", null],
      ["data/.saving-1/more", null],
      ["data/.saving-1/more/weights", new Uint8Array(10_000)],
    ]);
    const environment = { TRAININGRUN_CHECKPOINTS: "/", TRAININGRUN_VOLUME: "Durable" } as unknown as AgentEnvironment;
    const { told, disk } = await run(() => availableBytes(environment), saving);
    expect(told).toBe(disk.space.bavail * 4096 + 10_000);
  });
});

test.each(["checkpoint", "agent"])("every file call that %s makes has an answer on the simulated host", (room) => {
  const sources = join(import.meta.dirname, "../../..", room, "src");
  const called = globSync("**/*.ts", { cwd: sources, exclude: ["**/*.test.ts"] }).flatMap((file) =>
    Array.from(
      readFileSync(join(sources, file), "utf8").matchAll(/import (?!type)\{([^}]*)\} from "node:fs(\/promises)?"/g),
      ([, names = "", promises]) =>
        names
          .split(",")
          .map((name) => name.trim())
          .filter((name) => name !== "" && name !== "constants" && !name.startsWith("type "))
          .map((name) => `fs${promises === undefined ? "" : ".promises"}.${name}`),
    ).flat(),
  );
  expect(called.length).toBeGreaterThan(10);
  expect(called.filter((path) => !answered.includes(path))).toEqual([]);
});

/** Runs a program over a disk with that tree; what it returned, and what it left. */
async function run(program: (process: SimProcess) => Promise<unknown>, before: DiskTree = new Map()) {
  const scheduler = new Scheduler({ seed: 1 });
  const disk = new Disk({ device: 7, clock: () => scheduler.now });
  plantTree(disk, before);
  const process = new SimProcess(scheduler, { name: "agent" });
  giveFiles(process, new DiskView({ node: "node-a", mounts: [{ path: "/", disk }] }));
  let told: unknown;
  process.atEnd((ending) => {
    if (ending.kind !== "returned") throw new Error(`Cannot look at what the program left because it ${ending.kind}`);
    told = ending.value;
  });
  process.start(() => program(process));
  while (await scheduler.step());
  return { told, disk, tree: treeOf(disk) };
}

function names(tree: DiskTree): string[] {
  return [...tree.keys()].sort();
}

function textOf(tree: DiskTree, path: string): string {
  const content = tree.get(path);
  return content instanceof Uint8Array ? Buffer.from(content).toString() : "";
}
