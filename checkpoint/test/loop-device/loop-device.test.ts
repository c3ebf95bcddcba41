import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { candidates } from "../../src/candidates.ts";
import { readLog } from "../../src/log/read.ts";
import { DirectoryStore } from "../../src/store/directory-store.ts";
import { errorCode } from "../../src/store/file-system.ts";
import { verifyCheckpoint } from "../../src/verify.ts";
import { openAttempt, pruneOld, restoreAttempt, runUid } from "../crash-grid/operations.ts";
import { canCutPower, LoopVolume, whyNoLoopDevice } from "./loop-volume.ts";

const impossible = whyNoLoopDevice();
const script = join(import.meta.dirname, "../processes/save-steps.ts");
const MiB = 2 ** 20;

/** A run on a volume, whose attempt 1 is open. */
async function runOn(volume: LoopVolume): Promise<string> {
  const root = join(volume.path, "run");
  await mkdir(root);
  await openAttempt(root, 1);
  return root;
}

function saver(root: string, { steps, bytes }: { steps: readonly number[]; bytes: number }): ChildProcess {
  const args = [script, root, runUid, "1", String(bytes), ...steps.map(String)];
  return spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
}

/** The lines of a saver; `onLine` hears each as it comes. */
async function linesOf(child: ChildProcess, onLine: (line: string) => void = () => undefined): Promise<string[]> {
  const lines: string[] = [];
  let rest = "";
  child.stdout?.on("data", (piece) => {
    const parts = `${rest}${piece}`.split("\n");
    rest = parts.pop() ?? "";
    for (const line of parts) {
      lines.push(line);
      onLine(line);
    }
  });
  await once(child, "close");
  return lines;
}

/** Somebody else's files: the last inode and the last block of the volume. */
async function takeWhatIsLeft(path: string): Promise<void> {
  // What ext4 has set aside for a write that failed is free once more when the next sync is over.
  for (let count = 0, refused = 0; refused < 5; count += 1) {
    const bytes = new Uint8Array(count === 0 ? 32 * MiB : 1);
    const code = await writeFile(join(path, `other-${count}`), bytes, { flush: true }).then(() => null, errorCode);
    if (code !== null) expect(code).toBe("ENOSPC");
    refused = code === null ? 0 : refused + 1;
  }
}

const steps = (count: number) => Array.from({ length: count }, (_, index) => 10 * (index + 1));
const savedSteps = (lines: readonly string[]) =>
  lines.flatMap((line) => /^saved (\d+)$/.exec(line)?.[1] ?? []).map(Number);

/** All that the log offers is whole; the steps, newest first. */
async function wholeSteps(root: string): Promise<number[]> {
  const store = new DirectoryStore(root, runUid);
  const { state } = await readLog(store);
  expect(state.damaged).toEqual([]);
  const found = candidates(state, { base: null, refused: [] });
  for (const { digest, directory } of found) {
    expect(await verifyCheckpoint(store, { digest, directory })).toMatchObject({ ok: true });
  }
  return found.map(({ step }) => step);
}

async function resumedStep(root: string): Promise<number | string> {
  const outcome = await restoreAttempt(root, 2);
  return outcome.kind === "failed" ? outcome.message : (outcome.restored.resume?.step ?? 0);
}

describe("a run on a real ext4", { timeout: 120_000 }, () => {
  const full = [
    { what: "that fills up", size: { bytes: 32 * MiB }, bytes: 3 * MiB },
    { what: "that has no inode left", size: { bytes: 32 * MiB, inodes: 64 }, bytes: 100 },
  ];
  test.for(full)(
    "$what keeps what was saved, says what to do, and goes on once there is room",
    async ({ size, bytes }, context) => {
      context.skip(impossible !== null, impossible ?? "");
      await using volume = await LoopVolume.create(size);
      const root = await runOn(volume);
      await pruneOld(root);
      const lines = await linesOf(saver(root, { steps: steps(20), bytes }));
      const saved = savedSteps(lines);
      expect(saved.length).toBeGreaterThan(2);
      expect(lines.find((line) => line.startsWith("failed"))).toMatch(
        /^failed \d+ SaveFailedError: Cannot save step \d+ of attempt 1 because .*answered ENOSPC.*: free space or raise its size/,
      );
      expect((await wholeSteps(root)).toSorted((a, b) => a - b)).toEqual(saved);
      expect((await readdir(join(root, "data"))).filter((name) => name.startsWith("."))).toEqual([]);
      await takeWhatIsLeft(volume.path);
      await pruneOld(root);
      expect(await readdir(join(root, "log"))).toContain(".reserve");
      expect(savedSteps(await linesOf(saver(root, { steps: [500], bytes })))).toEqual([500]);
      expect(await resumedStep(root)).toBe(500);
    },
  );

  test("that turns read-only amid its saves keeps every save that was acknowledged", async (context) => {
    context.skip(impossible !== null, impossible ?? "");
    await using volume = await LoopVolume.create({ bytes: 256 * MiB });
    const root = await runOn(volume);
    const child = saver(root, { steps: steps(60), bytes: 2 * MiB });
    let failing: Promise<void> | undefined;
    const lines = await linesOf(child, (line) => {
      if (line === "saved 30") failing = volume.failFileSystem();
    });
    await failing;
    const last = Math.max(...savedSteps(lines));
    expect(lines.at(-1)).toMatch(/^failed 600 SaveFailedError: .*answered (EROFS|EIO)/);
    volume.unmount();
    volume.mount();
    expect(await wholeSteps(root)).toContain(last);
    expect([last, last + 10]).toContain(await resumedStep(root));
  });

  test("that is mounted read-only says so in a restore, which changes nothing", async (context) => {
    context.skip(impossible !== null, impossible ?? "");
    await using volume = await LoopVolume.create({ bytes: 64 * MiB });
    const root = await runOn(volume);
    expect(savedSteps(await linesOf(saver(root, { steps: [10], bytes: 1000 })))).toEqual([10]);
    volume.remountReadOnly();
    const [line] = await linesOf(saver(root, { steps: [20], bytes: 1000 }));
    expect(line).toMatch(/^failed 20 SaveFailedError: .*answered EROFS.*: it is mounted read-only/);
    await expect(restoreAttempt(root, 2)).rejects.toThrow(/^Cannot open the checkpoints .*: it is mounted read-only$/);
    expect(await wholeSteps(root)).toEqual([10]);
  });

  test("whose device fails keeps every save that was acknowledged, and none that was not counts as one", async (context) => {
    context.skip(impossible !== null, impossible ?? "");
    await using volume = await LoopVolume.create({ bytes: 128 * MiB, roomBytes: 48 * MiB });
    const root = await runOn(volume);
    const lines = await linesOf(saver(root, { steps: steps(20), bytes: 3 * MiB }));
    const saved = savedSteps(lines);
    expect(saved.length).toBeGreaterThan(1);
    expect(lines.some((line) => /^failed \d+ SaveFailedError: .*answered (EIO|EROFS|ENOSPC)/.test(line))).toBe(true);
    volume.unmount();
    volume.mount();
    expect(await wholeSteps(root)).toEqual(expect.arrayContaining(saved));
  });

  test.for([1, 2, 3])("keeps what was acknowledged when its power is cut, round %i", async (round, context) => {
    context.skip(impossible !== null, impossible ?? "");
    context.skip(!canCutPower(), "python3, which asks ext4 to drop what is in memory, is not installed");
    await using volume = await LoopVolume.create({ bytes: 256 * MiB });
    const root = await runOn(volume);
    const child = saver(root, { steps: steps(60), bytes: 1.5 * MiB });
    const lines = await linesOf(child, (line) => {
      if (line === `saved ${10 * round + 10}`) setTimeout(() => volume.cutPower(), round);
    });
    const last = Math.max(...savedSteps(lines));
    expect(lines.at(-1)).toMatch(/^failed 600 /);
    volume.unmount();
    volume.mount();
    expect(await wholeSteps(root)).toContain(last);
    expect([last, last + 10]).toContain(await resumedStep(root));
  });
});
