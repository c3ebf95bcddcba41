import { randomInt } from "node:crypto";
import { cp, mkdtemp, readdir, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Expected } from "@trainingrun/checkpoint/contract/pod-environment.ts";
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

/**
 * Stores a run with three checkpoints, damages a file of the newest in a random place, and lets an attempt restore from it.
 * Found: the newest is refused and the one before it is handed over. False alarm: an undamaged one is refused. The damages
 * are drawn anew each time; each is checked to have changed the bytes, so a round that changed nothing does not count.
 */
export const corruption: Measurement = {
  name: "corruption",
  what: `${roundsPerKind * damageKinds.length} random damages of stored checkpoints, and as many undamaged controls`,
  seconds: 60,
  run: measureCorruption,
};

async function measureCorruption(): Promise<Result> {
  const root = await mkdtemp(join(tmpdir(), "trainingrun-corruption-"));
  try {
    const original = join(root, "original");
    await storeRun(original);
    const byKind: Record<string, { damages: number; found: number; fellBack: number }> = {};
    const missed: string[] = [];
    let falseAlarms = 0;
    let controls = 0;
    for (const kind of damageKinds) {
      const row = { damages: 0, found: 0, fellBack: 0 };
      while (row.damages < roundsPerKind) {
        const copy = join(root, "copy");
        await cp(original, copy, { recursive: true });
        controls += 1;
        if (!(await accepts(copy))) falseAlarms += 1;
        const damage = await damageOne(kind, join(copy, "data", newestName));
        if (damage !== null) {
          row.damages += 1;
          const found = !(await accepts(copy));
          const resumed = await resumedStep(copy);
          if (found) row.found += 1;
          if (resumed === 200) row.fellBack += 1;
          if (!found || resumed !== 200) missed.push(`${damage}: resumed from ${resumed}`);
        }
        await rm(copy, { recursive: true });
      }
      byKind[kind] = row;
    }
    return resultOf({ byKind, missed, controls, falseAlarms });
  } finally {
    await rm(root, { recursive: true, force: true });
  }
}

function resultOf(seen: {
  byKind: Record<string, { damages: number; found: number; fellBack: number }>;
  missed: readonly string[];
  controls: number;
  falseAlarms: number;
}): Result {
  const sum = (field: "damages" | "found" | "fellBack") =>
    Object.values(seen.byKind).reduce((total, row) => total + row[field], 0);
  const [damages, found, fellBack] = [sum("damages"), sum("found"), sum("fellBack")];
  return {
    name: "corruption",
    holds: damages >= 200 && found === damages && fellBack === damages && seen.falseAlarms === 0,
    figures: { damages, found, fellBack, ...seen },
    goals: {
      damages: "at least 200",
      found: "all of them",
      fellBack: "all resumed from the checkpoint before",
      falseAlarms: "0 of the controls",
    },
  };
}

const newestName = `step-${String(newest).padStart(12, "0")}-a0001`;

async function open(root: string): Promise<DirectoryStore> {
  return await openDirectoryStore(root, { runUid });
}

const expected: Expected = {
  latestVerified: null,
  recorded: [],
  refused: [],
  base: null,
  noneVerified: "Fail",
  unhealthy: "Skip",
  environmentMismatch: "Ignore",
};

async function restore(root: string, attempt: number) {
  const who = { runUid, attempt, podUid: `pod-${attempt}`, node: "node-a", generation: 1 };
  return await restoreRun(await open(root), { ...who, expected });
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

/** Damages one random file of a checkpoint in a random place. Says what it did, or null when nothing changed. */
async function damageOne(kind: DamageKind, directory: string): Promise<string | null> {
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
      const other = names[randomInt(names.length)] ?? "";
      const same = other === name || (await readFile(path)).equals(await readFile(join(directory, other)));
      if (same) return null;
      await swapFiles(path, join(directory, other));
      return `${name} and ${other} swapped`;
    }
    case "delete":
      await deleteFile(path);
      return `${name} deleted`;
    default:
      return kind satisfies never;
  }
}
