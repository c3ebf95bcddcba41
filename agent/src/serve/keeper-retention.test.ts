import { execFileSync } from "node:child_process";
import { mkdirSync, renameSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { AgentEnvironment } from "@trainingrun/checkpoint/contract/pod-environment.ts";
import { directoryName } from "@trainingrun/checkpoint/directory-name.ts";
import { appendRecord } from "@trainingrun/checkpoint/log/append.ts";
import { recordBytes } from "@trainingrun/checkpoint/log/record.ts";
import type { CheckpointRef } from "@trainingrun/checkpoint/log/state.ts";
import { openDirectoryStore } from "@trainingrun/checkpoint/store/directory-store.ts";
import { beforeEach, expect, onTestFinished, test, vi } from "vitest";
import { ServingPod, Tiers } from "../../test/mirror-scene.ts";
import { keepTwo, nothingRecorded, podVariables } from "../../test/sample.ts";
import { readEnvironment } from "../environment.ts";
import { pruneVolume } from "./keeper-retention.ts";

const time = "2030-01-01T12:00:00Z";
const never = new AbortController().signal;

beforeEach(() => {
  for (const said of ["log", "warn", "error"] as const) vi.spyOn(console, said).mockReturnValue(undefined);
});

const stepsOf = (pod: ServingPod) => pod.keeper.findings.state.checkpoints.map(({ step }) => step).toSorted();
const pauseOf = (pod: ServingPod) => pod.keeper.findings.plan?.pauseSaving?.overview ?? null;
const problemsOf = (pod: ServingPod) => pod.knowledge.problems.map(({ reason }) => reason);

/** Tiers whose volume is a file system of 1 MiB, which only root can mount. */
async function onSmallVolume() {
  const tiers = await Tiers.make();
  const volume = join(tiers.root, "checkpoints");
  mkdirSync(volume);
  execFileSync("mount", ["-t", "tmpfs", "-o", "size=1048576", "tmpfs", volume]);
  onTestFinished(() => void execFileSync("umount", [volume]));
  return { tiers, volume };
}

test("evidence that has expired gives back the room that it took from the byte budget, though nothing is saved", async () => {
  vi.useFakeTimers({ toFake: ["Date"] });
  onTestFinished(() => void vi.useRealTimers());
  const tiers = await Tiers.make();
  const sized = await ServingPod.start(await Tiers.make(), 1);
  const [one] = await sized.save(10);
  const maxBytes = 3 * (one?.manifest.totals.bytes ?? 0) + 100;
  const retention = JSON.stringify({ ...keepTwo, maxBytes });
  const pod = await ServingPod.start(tiers, 1, { TRAININGRUN_RETENTION: retention });
  const [worst] = await pod.save(10, 20, 30);
  const refusal = { reason: "BytesDiffer", message: "a chunk does not match", node: "node-a" };
  const manifest = worst?.manifest.digest ?? "";
  await appendRecord(await pod.trainer.store(), { kind: "refuse", attempt: 1, manifest, ...refusal });
  await pod.look();
  await pod.keeper.prune(never, null);
  expect([stepsOf(pod), pauseOf(pod)]).toEqual([[10, 20, 30], expect.stringContaining("allowed")]);
  vi.setSystemTime(Date.now() + 25 * 3_600_000);
  await pod.keeper.prune(never, null);
  await pod.keeper.prune(never, null);
  expect([stepsOf(pod), pauseOf(pod)]).toEqual([[20, 30], null]);
});

test("a store that does not answer holds retention up for seconds only, and a byte budget that is spent no longer", async () => {
  const [sized] = await (await ServingPod.start(await Tiers.make(), 1)).save(10);
  const maxBytes = 3 * (sized?.manifest.totals.bytes ?? 0) + 100;
  const tiers = await Tiers.make();
  const pod = await ServingPod.start(tiers, 1, { TRAININGRUN_RETENTION: JSON.stringify({ ...keepTwo, maxBytes }) });
  await pod.save(10, 20, 30);
  pod.nowMs = 9_999;
  await pod.prune();
  expect([stepsOf(pod), problemsOf(pod)]).toEqual([[10, 20, 30], []]);
  pod.nowMs = 10_000;
  await pod.prune();
  expect([stepsOf(pod), problemsOf(pod)]).toEqual([[20, 30], ["BudgetBeforeMirror"]]);
});

test("a volume without room for the next save waits for no object store, and says what it removed", async ({
  skip,
}) => {
  skip(process.platform !== "linux" || process.getuid?.() !== 0, "mounting a small file system needs root on Linux");
  const { tiers, volume } = await onSmallVolume();
  tiers.away = "the store is away";
  const pod = await ServingPod.start(tiers, 1);
  for (const step of [10, 20, 30]) await pod.trainer.save(step, [], 100_000);
  await pod.look();
  await pod.mirrorUntil(() => pod.mirror.state.problem !== null);
  await pod.prune();
  expect([stepsOf(pod), problemsOf(pod)]).toEqual([[10, 20, 30], []]);
  const other = join(volume, "another-run");
  writeFileSync(other, new Uint8Array(600_000));
  vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + 60_000 });
  onTestFinished(() => void vi.useRealTimers());
  await pod.prune();
  expect([stepsOf(pod), problemsOf(pod)]).toEqual([[20, 30], ["RoomBeforeMirror"]]);
  expect(pod.knowledge.problems[0]?.message).toMatch(
    /^Retention removed checkpoints that the object store did not have, for the room on the volume: 1\d0 kB for the next/,
  );
  rmSync(other);
  tiers.away = null;
  pod.nowMs += 60_000;
  await pod.mirrorUntil(() => pod.mirror.mirrored?.size === 2);
  vi.setSystemTime(Date.now() + 60_000);
  await pod.prune();
  expect([stepsOf(pod), problemsOf(pod)]).toEqual([[20, 30], []]);
});

const canMount = process.platform === "linux" && process.getuid?.() === 0;

/** Leaves so many bytes free on the volume, a minute later each time. */
function leaving(volume: string) {
  vi.useFakeTimers({ toFake: ["Date"] });
  onTestFinished(() => void vi.useRealTimers());
  let others = 0;
  return (free: number) => {
    vi.setSystemTime(Date.now() + 60_000);
    const { bsize, bavail } = statfsSync(volume);
    writeFileSync(join(volume, `another-run-${others++}`), new Uint8Array(bsize * bavail - free));
  };
}

test.skipIf(!canMount).each([
  { has: "two of the present history", steps: [10, 14] },
  { has: "nothing, for it is away", steps: [] },
])("what a rollback left behind makes room for the next save, where the object store has $has", async ({ steps }) => {
  const { tiers, volume } = await onSmallVolume();
  const first = await ServingPod.start(tiers, 1);
  for (const step of [10, 20, 30]) await first.trainer.save(step, [], 100_000);
  const pod = await ServingPod.start(tiers, 2, {}, { base: { step: 10 } });
  for (const step of [12, 14, 16]) await pod.trainer.save(step, [], 100_000);
  await pod.look();
  const { checkpoints } = pod.keeper.findings.state;
  const there = new Set(checkpoints.flatMap(({ step, digest }) => (steps.includes(step) ? [digest] : [])));
  const leave = leaving(volume);
  const pruned = async () => {
    await pod.keeper.prune(never, there);
    return [stepsOf(pod), problemsOf(pod)];
  };
  expect(await pruned()).toEqual([[10, 12, 14, 16, 20, 30], []]);
  leave(120_000);
  expect(await pruned()).toEqual([[10, 12, 14, 16, 30], []]);
  expect(await pruned()).toEqual([[10, 12, 14, 16, 30], []]);
  leave(120_000);
  expect(await pruned()).toEqual([[10, 12, 14, 16], []]);
  // Only now what has two newer ones that are verified, and waits for the object store.
  leave(120_000);
  expect(await pruned()).toEqual([[10, 14, 16], ["RoomBeforeMirror"]]);
});

test.skipIf(!canMount)(
  "a rollback to the oldest checkpoint has room for its first save on a volume that is full",
  async () => {
    const { tiers, volume } = await onSmallVolume();
    const first = await ServingPod.start(tiers, 1);
    for (const step of [10, 20, 30]) await first.trainer.save(step, [], 100_000);
    const pod = await ServingPod.start(tiers, 2, {}, { base: { step: 10 } });
    await pod.look();
    await pod.keeper.prune(never, null);
    expect(stepsOf(pod)).toEqual([10, 20, 30]);
    const leave = leaving(volume);
    leave(120_000);
    await pod.keeper.prune(never, null);
    expect(stepsOf(pod)).toEqual([10, 30]);
    leave(40_000);
    await pod.keeper.prune(never, null);
    expect(stepsOf(pod)).toEqual([10]);
    await pod.trainer.save(12, [], 100_000);
  },
);

/** What retention does of a pod's volume, where only these steps are verified. */
async function prunedOf(pod: ServingPod, steps: readonly number[]) {
  const { checkpoints } = pod.keeper.findings.state;
  const verified = new Set(checkpoints.flatMap(({ step, digest }) => (steps.includes(step) ? [digest] : [])));
  const [store, environment] = [await pod.trainer.store(), pod.environment];
  const { removed, plan } = await pruneVolume({
    ...{ store, environment, verified, signal: never },
    ...{ mirrored: null, beforeMirror: null },
  });
  return { removed: removed.map(({ step }) => step), pause: plan.pauseSaving };
}

test.skipIf(!canMount)(
  "what a rollback left behind makes room beside a checkpoint that is never verified, whatever would go if it were",
  async () => {
    const { tiers, volume } = await onSmallVolume();
    const first = await ServingPod.start(tiers, 1);
    for (const step of [10, 20, 30]) await first.trainer.save(step, [], 100_000);
    const pod = await ServingPod.start(tiers, 2, {}, { base: { step: 10 } });
    for (const step of [12, 14, 16]) await pod.trainer.save(step, [], 100_000);
    await pod.look();
    expect((await prunedOf(pod, [10, 12, 14])).removed).toEqual([]);
    leaving(volume)(80_000);
    expect((await prunedOf(pod, [10, 12, 14])).removed).toEqual([20]);
  },
);

test("what is not on the volume takes nothing of the byte budget", async () => {
  const [sized] = await (await ServingPod.start(await Tiers.make(), 1)).save(10);
  const maxBytes = 4 * (sized?.manifest.totals.bytes ?? 0) + 100;
  const retention = { TRAININGRUN_RETENTION: JSON.stringify({ ...keepTwo, maxBytes }) };
  const pod = await ServingPod.start(await Tiers.make(), 1, retention);
  const [one, two] = await pod.save(10, 20, 30, 40);
  expect((await prunedOf(pod, [10])).pause).toMatchObject({ limit: "Budget" });
  const data = join(pod.environment.TRAININGRUN_CHECKPOINTS, "data");
  renameSync(join(data, one?.directory ?? ""), join(data, `.settling-1-${one?.directory}`));
  expect((await prunedOf(pod, [10])).pause).toMatchObject({ limit: "Budget" });
  rmSync(join(data, two?.directory ?? ""), { recursive: true });
  expect((await prunedOf(pod, [10])).pause).toBeNull();
});

test("what the operator lets nobody resume from is no way back", async () => {
  const tiers = await Tiers.make();
  const first = await ServingPod.start(tiers, 1);
  const [, , worst] = await first.save(10, 20, 30);
  const maxBytes = 3 * (worst?.manifest.totals.bytes ?? 0) + 100;
  const over = {
    TRAININGRUN_RETENTION: JSON.stringify({ ...keepTwo, maxBytes }),
    TRAININGRUN_EXPECTED: JSON.stringify({ ...nothingRecorded, refused: [worst?.manifest.digest] }),
  };
  const pod = await ServingPod.start(tiers, 2, over, { base: { step: 10 } });
  await pod.look();
  expect((await prunedOf(pod, [10])).removed).toEqual([30]);
});

test("a log that can carry no more waits for no object store", async () => {
  const tiers = await Tiers.make();
  const environment = readEnvironment(AgentEnvironment, podVariables(tiers.root));
  const store = await openDirectoryStore(environment.TRAININGRUN_CHECKPOINTS, { runUid: "run-uid" });
  const metrics = Array.from({ length: 32 }, (_, index) => ({ name: `${index}`.padEnd(63, "m"), value: "0.12345678" }));
  const checkpoints = Array.from({ length: 1000 }, (_, step): CheckpointRef => {
    const place = { step, attempt: 1, directory: directoryName(step, 1) };
    return { ...place, digest: `blake3:${`${step}`.padStart(64, "0")}`, bytes: 1, metrics, unhealthy: false, time };
  });
  const open = { kind: "open", attempt: 1, podUid: "pod-1", node: "n", base: null, generation: 1 } as const;
  const state = { attempts: [], checkpoints, refused: [] };
  await store.createRecord(1, recordBytes({ ...open, version: 1, writer: "w", time, state }));
  const verified = new Set(checkpoints.map(({ digest }) => digest));
  const request = { store, environment, verified, mirrored: new Set<string>(), beforeMirror: null, signal: never };
  const { removed, beforeMirror } = await pruneVolume(request);
  expect(removed[0]?.step).toBe(0);
  expect(beforeMirror).toEqual({
    reason: "LogBeforeMirror",
    message: expect.stringMatching(
      /^the room in the log: 1000 checkpoints, for which the log lacks \d+ of 3145728 bytes$/,
    ),
  });
});

test("in the pod itself, the room ends before that of its node, where a kubelet would evict it", async ({ skip }) => {
  skip(process.platform !== "linux" || process.getuid?.() !== 0, "mounting a small file system needs root on Linux");
  const { tiers } = await onSmallVolume();
  const pod = await ServingPod.start(tiers, 1, { TRAININGRUN_VOLUME: "Ephemeral" });
  for (const step of [10, 20, 30]) await pod.trainer.save(step, [], 200_000);
  await pod.look();
  tiers.away = "the store is away";
  await pod.mirrorUntil(() => pod.mirror.state.problem !== null);
  await pod.prune();
  expect(stepsOf(pod)).toEqual([20, 30]);
});
