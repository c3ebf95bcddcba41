import { randomInt } from "node:crypto";
import { cp, mkdtemp, readdir, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { nothingExpected } from "@trainingrun/checkpoint/contract/pod-environment.ts";
import { jsonFile } from "@trainingrun/checkpoint/file-source.ts";
import { healthy } from "@trainingrun/checkpoint/health.ts";
import { restoreRun } from "@trainingrun/checkpoint/restore.ts";
import { tensorsFile } from "@trainingrun/checkpoint/safetensors/write.ts";
import { saveCheckpoint } from "@trainingrun/checkpoint/save.ts";
import { type DirectoryStore, openDirectoryStore } from "@trainingrun/checkpoint/store/directory-store.ts";
import { verifyCheckpoint } from "@trainingrun/checkpoint/verify.ts";
import { deleteFile, flipBit, swapFiles, truncateFile, zeroRange } from "../../checkpoint/test/damage.ts";
import type { Measurement, Result } from "./result.ts";

const damageKinds = ["truncate", "flip", "zero", "swap", "delete"] as const;
type DamageKind = (typeof damageKinds)[number];

const roundsPerKind = 50;
const runUid = "5d0c7a2e-0d0e-4c53-9a55-0b6e1c2f7a10";
const steps = [100, 200, 300] as const;
const newest = 300;
const beforeNewest = 200;

/**
 * Stores a run with three checkpoints, damages a file of the newest in a random place, and lets an attempt restore from it.
 * Found: verification refuses the newest, and the one before it is handed over. False alarm: an undamaged one is refused by
 * verification or by a restore. The damages are drawn anew each time; one that changed no byte does not count.
 */
export const corruption: Measurement = {
  name: "corruption",
  what: `${roundsPerKind * damageKinds.length} random damages of stored checkpoints, and as many undamaged controls`,
  seconds: 60,
  limitMs: 20 * 60_000,
  run: measureCorruption,
};

/** What damages of one kind came to. */
export type DamageRow = Readonly<{ damages: number; found: number; fellBack: number }>;

async function measureCorruption(signal: AbortSignal): Promise<Result> {
  const root = await mkdtemp(join(tmpdir(), "trainingrun-corruption-"));
  try {
    const original = join(root, "original");
    await storeRun(original);
    const copies = new Copies(original, join(root, "copies"));
    const byKind: Record<string, DamageRow> = {};
    const missed: string[] = [];
    let falseAlarms = 0;
    let controls = 0;
    for (const kind of damageKinds) {
      const row = { damages: 0, found: 0, fellBack: 0 };
      while (row.damages < roundsPerKind) {
        signal.throwIfAborted();
        const control = await copies.next();
        controls += 1;
        if (!(await accepts(control)) || (await resumedStep(control)) !== newest) falseAlarms += 1;
        const copy = await copies.next();
        const damage = await damageOne(kind, join(copy, "data"));
        if (damage === null) continue;
        row.damages += 1;
        const found = !(await accepts(copy));
        const resumed = await resumedStep(copy);
        if (found) row.found += 1;
        if (resumed === beforeNewest) row.fellBack += 1;
        if (!found || resumed !== beforeNewest) missed.push(`${damage}: resumed from ${resumed}`);
      }
      byKind[kind] = row;
    }
    return corruptionResult({ byKind, missed, controls, falseAlarms });
  } finally {
    await rm(root, { recursive: true, force: true });
  }
}

/** Copies of a stored run, one at a time: each is removed when the next one is asked for. */
class Copies {
  readonly #original: string;
  readonly #at: string;

  constructor(original: string, at: string) {
    this.#original = original;
    this.#at = at;
  }

  async next(): Promise<string> {
    await rm(this.#at, { recursive: true, force: true });
    await cp(this.#original, this.#at, { recursive: true });
    return this.#at;
  }
}

/** What the damages and the controls come to. */
export function corruptionResult(seen: {
  byKind: Readonly<Record<string, DamageRow>>;
  missed: readonly string[];
  controls: number;
  falseAlarms: number;
}): Result {
  const rows = damageKinds.map((kind) => seen.byKind[kind]?.damages ?? 0);
  const sum = (field: keyof DamageRow) => Object.values(seen.byKind).reduce((total, row) => total + row[field], 0);
  const [damages, found, fellBack] = [sum("damages"), sum("found"), sum("fellBack")];
  return {
    name: "corruption",
    figures: { damages, found, fellBack, ...seen },
    goals: {
      damages: { goal: "at least 200, some of every kind", met: damages >= 200 && rows.every((count) => count > 0) },
      found: { goal: "all of them", met: found === damages },
      fellBack: { goal: "all resumed from the checkpoint before", met: fellBack === damages },
      falseAlarms: {
        goal: "0 of at least as many controls as damages",
        met: seen.falseAlarms === 0 && seen.controls >= damages,
      },
    },
  };
}

const directoryOf = (step: number) => `step-${String(step).padStart(12, "0")}-a0001`;
const newestName = directoryOf(newest);
const oldestName = directoryOf(steps[0]);

async function open(root: string): Promise<DirectoryStore> {
  return await openDirectoryStore(root, { runUid });
}

async function restore(root: string, attempt: number) {
  const who = { runUid, attempt, podUid: `pod-${attempt}`, node: "node-a", generation: 1 };
  return await restoreRun(await open(root), { ...who, expected: nothingExpected });
}

/** Three checkpoints of two tensor files of about 100 KiB each, random so that no zeroed range goes unseen. */
async function storeRun(root: string): Promise<void> {
  await restore(root, 1);
  const store = await open(root);
  for (const step of steps) {
    await saveCheckpoint(store, {
      runUid,
      attempt: 1,
      step,
      parent: null,
      files: [
        tensorsFile("model.safetensors", tensors()),
        tensorsFile("optimizer.safetensors", tensors()),
        jsonFile("state.json", { step, rng: [step, 7] }),
        jsonFile("environment.json", { backend: "none" }),
      ],
      metrics: [],
      health: healthy,
      producer: { name: "measure", version: "1" },
    });
  }
}

function tensors() {
  const values = new Float32Array(25_600).map(() => Math.random() + 0.1);
  return [{ name: "kernel", dtype: "F32" as const, shape: [160, 160], bytes: new Uint8Array(values.buffer) }];
}

async function accepts(root: string): Promise<boolean> {
  const store = await open(root);
  return (await verifyCheckpoint(store, { digest: null, directory: newestName })).ok;
}

async function resumedStep(root: string): Promise<number | string> {
  const outcome = await restore(root, 2);
  return outcome.kind === "failed" ? outcome.failure : (outcome.restored.resume?.step ?? 0);
}

/** Damages one random file of the newest checkpoint in a random place. Says what it did, or null when nothing changed. */
async function damageOne(kind: DamageKind, data: string): Promise<string | null> {
  const directory = join(data, newestName);
  const names = (await readdir(directory)).toSorted();
  const name = names[randomInt(names.length)] ?? "";
  const path = join(directory, name);
  const { size } = await stat(path);
  switch (kind) {
    case "truncate": {
      const bytes = randomInt(size);
      await truncateFile(path, bytes);
      return `${name} cut to ${bytes} of ${size}`;
    }
    case "flip": {
      const bit = randomInt(size * 8);
      await flipBit(path, bit);
      return `bit ${bit} of ${name} flipped`;
    }
    case "zero": {
      const from = randomInt(size);
      const bytes = 1 + randomInt(Math.min(4096, size - from));
      return (await zeroRange(path, { from, bytes })) ? `${bytes} bytes of ${name} zeroed from ${from}` : null;
    }
    case "swap": {
      // With another file of the checkpoint, or with its namesake in the oldest one: whole, well-formed, and not this one.
      const other =
        randomInt(2) === 0 ? join(directory, names[randomInt(names.length)] ?? "") : join(data, oldestName, name);
      if (other === path || (await readFile(path)).equals(await readFile(other))) return null;
      await swapFiles(path, other);
      return `${name} and ${relative(data, other)} swapped`;
    }
    case "delete":
      await deleteFile(path);
      return `${name} deleted`;
    default:
      return kind satisfies never;
  }
}
