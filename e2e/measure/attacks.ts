import { execFile } from "node:child_process";
import { randomInt } from "node:crypto";
import { mkdtemp, readdir, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { parseRecord } from "@trainingrun/checkpoint/log/record.ts";
import { InvalidManifestError, parseManifest } from "@trainingrun/checkpoint/manifest.ts";
import { DirectoryStore } from "@trainingrun/checkpoint/store/directory-store.ts";
import { verifyCheckpoint } from "@trainingrun/checkpoint/verify.ts";
import { z } from "zod";
import { openAttempt, runUid, saveStep } from "../../checkpoint/test/crash-grid/operations.ts";
import { flipBit } from "../../checkpoint/test/damage.ts";
import { projectDirectory } from "../cluster/images/project-images.ts";
import { type Measurement, peakRssMiB, type Result } from "./result.ts";

const sampledFlips = 400;

/**
 * What is made to deceive a reader: the attack tests, every single-bit flip of a manifest and of a log's records, and
 * sampled flips of a checkpoint's files. Held: refused. False alarm: the undamaged original is refused in between.
 */
export const attacks: Measurement = {
  name: "attacks",
  what: "hostile manifests, tensors and directories, and single flipped bits, with undamaged controls",
  seconds: 60,
  limitMs: 15 * 60_000,
  run: measureAttacks,
};

/** What attacks of one kind came to. */
export type AttackRow = Readonly<{ run: number; held: number; controls: number; falseAlarms: number }>;

async function measureAttacks(signal: AbortSignal): Promise<Result> {
  const root = await mkdtemp(join(tmpdir(), "trainingrun-attacks-"));
  try {
    const tests = await runAttackTests(join(root, "tests.json"), signal);
    const run = join(root, "run");
    await openAttempt(run, 1);
    await saveStep(run, { step: 10 });
    const data = join(run, "data", "step-000000000010-a0001");
    const manifest = await readFile(join(data, "MANIFEST.json"));
    const records = await recordsIn(join(run, "log"));
    return attacksResult({
      tests,
      manifestBits: everyBit([manifest], refusesManifest),
      recordBits: everyBit(records, refusesRecord),
      fileBits: await sampledBits(run, data, signal),
    });
  } finally {
    await rm(root, { recursive: true, force: true });
  }
}

const Report = z.object({ success: z.boolean(), numTotalTests: z.int(), numPassedTests: z.int() });

/** The attack tests, counted by Vitest itself; they have their own controls, which are tests too. */
async function runAttackTests(report: string, signal: AbortSignal): Promise<AttackRow> {
  const args = ["run", "--project", "unit", "checkpoint/test/attacks", "--reporter=json", `--outputFile=${report}`];
  const vitest = join(projectDirectory, "node_modules/.bin/vitest");
  // A failed test is counted, and no reason to end here.
  await promisify(execFile)(vitest, args, { cwd: projectDirectory, signal }).catch(() => undefined);
  return testRow(JSON.parse(await readFile(report, "utf8")));
}

/** What Vitest's own report comes to. A file that broke before its first test has none that failed: it counts as one. */
export function testRow(report: unknown): AttackRow {
  const { success, numTotalTests, numPassedTests } = Report.parse(report);
  const broken = !success && numTotalTests === numPassedTests ? 1 : 0;
  return { run: numTotalTests + broken, held: numPassedTests, controls: 0, falseAlarms: 0 };
}

async function recordsIn(log: string): Promise<Buffer[]> {
  const names = (await readdir(log)).filter((name) => name.endsWith(".json"));
  return Promise.all(names.map((name) => readFile(join(log, name))));
}

/** Flips each bit of each text, and reads the original after each. */
function everyBit(texts: readonly Buffer[], refuses: (bytes: Uint8Array) => boolean): AttackRow {
  const row = { run: 0, held: 0, controls: 0, falseAlarms: 0 };
  for (const text of texts) {
    for (let bit = 0; bit < text.byteLength * 8; bit += 1) {
      const damaged = Buffer.from(text);
      damaged[bit >> 3] = (damaged[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      row.run += 1;
      row.controls += 1;
      if (refuses(damaged)) row.held += 1;
      if (refuses(text)) row.falseAlarms += 1;
    }
  }
  return row;
}

/** Flips random bits of a stored checkpoint's files one at a time, and verifies it whole in between. */
async function sampledBits(root: string, data: string, signal: AbortSignal): Promise<AttackRow> {
  const row = { run: 0, held: 0, controls: 0, falseAlarms: 0 };
  const store = new DirectoryStore(root, runUid);
  const { digest } = parseManifest(await readFile(join(data, "MANIFEST.json")));
  const accepts = async () => (await verifyCheckpoint(store, { digest, directory: "step-000000000010-a0001" })).ok;
  const files = ["MANIFEST.json", "model.bin", "more/state.bin"].map((name) => join(data, name));
  for (let number = 0; number < sampledFlips; number += 1) {
    signal.throwIfAborted();
    const file = files[number % files.length] ?? data;
    const bit = randomInt((await stat(file)).size * 8);
    await flipBit(file, bit);
    row.run += 1;
    if (!(await accepts())) row.held += 1;
    await flipBit(file, bit);
    row.controls += 1;
    if (!(await accepts())) row.falseAlarms += 1;
  }
  return row;
}

/** What the rows come to. */
export function attacksResult(byKind: Readonly<Record<string, AttackRow>>): Result {
  const rows = Object.values(byKind);
  const sum = (field: keyof AttackRow) => rows.reduce((total, row) => total + row[field], 0);
  const totals = { run: sum("run"), held: sum("held"), controls: sum("controls"), falseAlarms: sum("falseAlarms") };
  return {
    name: "attacks",
    figures: { peakRssMiB: peakRssMiB(), ...totals, byKind },
    goals: {
      run: { goal: "some of every kind, 1,000 or more", met: totals.run >= 1_000 && rows.every(({ run }) => run > 0) },
      held: { goal: "all of them refused", met: totals.held === totals.run },
      falseAlarms: { goal: "0 of 1,000 or more controls", met: totals.falseAlarms === 0 && totals.controls >= 1_000 },
    },
  };
}

function refusesManifest(bytes: Uint8Array): boolean {
  try {
    parseManifest(bytes);
    return false;
  } catch (error) {
    // Another error is a defect of ours, and no refusal.
    if (error instanceof InvalidManifestError) return true;
    throw error;
  }
}

/** A record is refused by counting for nothing. */
function refusesRecord(bytes: Uint8Array): boolean {
  return "damaged" in parseRecord(1, bytes);
}
