import { mkdir, readdir, readlink, unlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { nothingExpected } from "../../src/contract/pod-environment.ts";
import { find, isRefused } from "../../src/log/fold.ts";
import type { RunState } from "../../src/log/state.ts";
import type { RestoreRequest } from "../../src/restore.ts";
import { flipBit } from "../damage.ts";
import {
  finishNewest,
  forking,
  makeMirror,
  mirrorAll,
  mirrored,
  nameNewest,
  openAttempt,
  pruneForRoom,
  pruneOld,
  renewAndCompact,
  saveSource,
  saveStep,
  saveTogether,
  sourceIn,
} from "./operations.ts";

/** One thing that a process does to a run's directory, and what readers may find when it was cut off anywhere. */
export type Scenario = Readonly<{
  name: string;
  what: string;
  /** Makes the directory that it starts from. */
  prepare: (root: string) => Promise<void>;
  /** What is cut off. Repeating it after an error is the same call again. */
  run: (root: string) => Promise<void>;
  /** The step that the next attempt may resume from while it was not acknowledged, and once it was. */
  resumes: Readonly<{ before: readonly number[]; after: readonly number[] }>;
  /** Steps whose bytes were damaged beforehand: no reader may accept them. */
  damaged: readonly number[];
  /** Steps whose bytes were damaged beforehand, and are whole once it was acknowledged. */
  mended?: readonly number[];
  /** What the next attempts are told; nothing beside the volume where absent. */
  told?: (root: string) => Partial<RestoreRequest>;
  /** What else the log must say once it was acknowledged; null where it does. */
  acknowledged: (state: RunState) => string | null;
  /** What is wrong in the directory beside the log and the checkpoints, at any time; nothing where absent. */
  beside?: (root: string) => Promise<string | null>;
}>;

/** Attempt 1 with three checkpoints. */
async function threeSteps(root: string): Promise<void> {
  await mkdir(root, { recursive: true });
  await openAttempt(root, 1);
  for (const step of [10, 20, 30]) await saveStep(root, { step });
}

/** The newest record goes: its writer died, or was told of an error, between its checkpoint's last rename and it. */
async function loseNewestRecord(root: string): Promise<void> {
  const records = (await readdir(join(root, "log"))).filter((name) => name.endsWith(".json")).sort();
  await unlink(join(root, "log", records.at(-1) ?? ""));
}

const has = (step: number) => (state: RunState) =>
  state.checkpoints.some((ref) => ref.step === step) ? null : `step ${step} was acknowledged and is not in the log`;

const isOpened = (state: RunState) =>
  (state.fence?.attempt ?? 0) >= 2 ? null : "attempt 2 was acknowledged and does not hold the log";

const aSave: Scenario = {
  name: "save",
  what: "a save of a third step",
  prepare: async (root) => {
    await mkdir(root, { recursive: true });
    await openAttempt(root, 1);
    for (const step of [10, 20]) await saveStep(root, { step });
  },
  run: (root) => saveStep(root, { step: 30 }),
  resumes: { before: [20, 30], after: [30] },
  damaged: [],
  acknowledged: has(30),
};

/** Every protocol of the volume, each with the least that makes it take all its steps. */
export const scenarios: readonly Scenario[] = [
  aSave,
  {
    ...aSave,
    name: "large-save",
    what: "a save that goes past the page cache",
    // Whole pages are written directly, the rest of the file through the cache.
    run: (root) => saveStep(root, { step: 30, bytes: 1024 * 1024 + 4096 + 100 }),
  },
  {
    ...aSave,
    name: "shards",
    what: "a save of a third step by the two workers of a gang",
    run: (root) => saveTogether(root, 30),
  },
  {
    name: "settle",
    what: "a save of a step whose directory is complete and has no record",
    prepare: async (root) => {
      await threeSteps(root);
      await loseNewestRecord(root);
    },
    run: (root) => saveStep(root, { step: 30 }),
    resumes: { before: [30], after: [30] },
    damaged: [],
    acknowledged: has(30),
  },
  {
    name: "retention",
    what: "a retention pass that removes one of three",
    prepare: threeSteps,
    run: pruneOld,
    resumes: { before: [30], after: [30] },
    damaged: [],
    acknowledged: (state) => (has(10)(state) === null ? "step 10 was deleted and is in the log" : null),
  },
  {
    name: "left-behind",
    what: "a retention pass that lets go of what a rollback left behind",
    prepare: async (root) => {
      await threeSteps(root);
      await openAttempt(root, 2, { expected: { ...nothingExpected, base: { step: 10 } } });
      for (const step of [12, 14]) await saveStep(root, { step, attempt: 2 });
    },
    run: pruneForRoom,
    // The attempt that is cut off has its base already; the one after it goes on from what it has saved.
    resumes: { before: [10, 14], after: [10, 14] },
    damaged: [],
    acknowledged: (state) => {
      const left = [20, 30].filter((step) => has(step)(state) === null);
      return left.length === 0 ? has(14)(state) : `steps ${left.join(", ")} were let go and are in the log`;
    },
  },
  {
    name: "restore",
    what: "a restore that adopts what has no record and sweeps what a dead writer left",
    prepare: async (root) => {
      await threeSteps(root);
      await loseNewestRecord(root);
      const left = join(root, "data/.saving-40-a1-00ff");
      await mkdir(left);
      await writeFile(join(left, "model.bin"), "half");
      await mkdir(join(root, "data/.trash-step-000000000005-a0001"));
    },
    run: (root) => openAttempt(root, 2),
    resumes: { before: [30], after: [30] },
    damaged: [],
    acknowledged: (state) => isOpened(state) ?? has(30)(state),
  },
  {
    name: "refusal",
    what: "a restore that refuses the newest and falls back",
    prepare: async (root) => {
      await threeSteps(root);
      await flipBit(join(root, "data/step-000000000030-a0001/model.bin"), 8 * 640 + 3);
    },
    run: (root) => openAttempt(root, 2),
    resumes: { before: [20], after: [20] },
    damaged: [30],
    acknowledged: (state) => {
      const refused = state.checkpoints.filter(({ step }) => step === 30).map(({ digest }) => isRefused(state, digest));
      return isOpened(state) ?? (refused.every(Boolean) ? null : "step 30 was refused and is a candidate");
    },
  },
  {
    name: "repair",
    what: "a restore that mends the newest from the other tier",
    prepare: async (root) => {
      await makeMirror(root);
      await openAttempt(root, 1, mirrored(root));
      for (const step of [10, 20, 30]) await saveStep(root, { step });
      await mirrorAll(root);
      await flipBit(join(root, "data/step-000000000030-a0001/model.bin"), 8 * 640 + 3);
    },
    run: (root) => openAttempt(root, 2, mirrored(root)),
    resumes: { before: [30], after: [30] },
    damaged: [],
    mended: [30],
    told: mirrored,
    acknowledged: (state) => isOpened(state) ?? has(30)(state),
  },
  {
    name: "fork",
    what: "a restore that copies a checkpoint of another run and begins there",
    prepare: async (root) => {
      await mkdir(root, { recursive: true });
      await saveSource(root, [10, 20]);
    },
    run: (root) => openAttempt(root, 1, forking(root, 20)),
    resumes: { before: [20], after: [20] },
    damaged: [],
    told: (root) => forking(root, 20),
    acknowledged: (state) =>
      find(state, state.opened?.base ?? "")?.step === 20 ? null : "the copy was acknowledged and is no base",
    beside: async (root) => {
      const names = await readdir(join(sourceIn(root), "data"));
      return names.length === 2 ? null : `the run that was forked has ${names.join(", ")}`;
    },
  },
  {
    name: "finish",
    what: "the end of a run",
    prepare: threeSteps,
    run: finishNewest,
    resumes: { before: [30], after: [30] },
    damaged: [],
    acknowledged: (state) =>
      state.done !== null && find(state, state.done.manifest)?.step === 30 ? null : "the run was done and is not",
  },
  {
    name: "compaction",
    what: "a renewed open, and a log that is pruned below the one before",
    prepare: async (root) => {
      await threeSteps(root);
      await renewAndCompact(root);
      await saveStep(root, { step: 40 });
    },
    run: renewAndCompact,
    resumes: { before: [40], after: [40] },
    damaged: [],
    acknowledged: (state) => has(40)(state) ?? has(10)(state),
  },
  {
    name: "names",
    what: "the names for people, which move to the next checkpoint",
    prepare: async (root) => {
      await threeSteps(root);
      await nameNewest(root, { upTo: 20 });
    },
    run: (root) => nameNewest(root, { upTo: 30 }),
    resumes: { before: [30], after: [30] },
    damaged: [],
    acknowledged: has(30),
    beside: async (root) => {
      const target = await readlink(join(root, "latest")).catch(() => "nothing");
      return /^data\/step-0{10}(20|30)-a0001$/.test(target) ? null : `the name latest leads to ${target}`;
    },
  },
];

/** The scenario of that name. */
export function scenarioNamed(name: string): Scenario {
  const found = scenarios.find((scenario) => scenario.name === name);
  if (found === undefined) throw new RangeError(`Cannot play ${name} because there is no scenario of that name`);
  return found;
}
