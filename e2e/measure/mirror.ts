import { execFile } from "node:child_process";
import { randomUUID } from "node:crypto";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { type ObjectStore, type StoreKind, startStore, storeKinds } from "../object-store/store.ts";
import { type Transfer, Transferred } from "./mirror-worker.ts";
import { type Measurement, median, type Result, rounded } from "./result.ts";

const mebibyte = 1024 * 1024;
/** The large one shows that memory does not grow with what is mirrored. */
const sizes = [
  { mebibytes: 256, rounds: 7 },
  { mebibytes: 1024, rounds: 2 },
] as const;
/** The thirteen buffers of 8 MiB that a transfer uses, and as much again for copies on their way through Node and its connections. */
const memoryBoundBytes = 2 * 13 * 8 * mebibyte;
const growthLimit = 1.25;

/**
 * A saved checkpoint to a real store, and back onto another volume, as an agent does it: every chunk matched to its
 * manifest, every part summed, every file sized. Beside it the plain `minio` client takes the same file from the disk to
 * the store and back to the disk, with the same sizes of parts, as many at once, and neither hash nor sum. In turn, each
 * in a process of its own, over loopback.
 */
export const mirror: Measurement = {
  name: "mirror",
  what: "checkpoints of 256 MiB and 1 GiB to each of two stores and back, by our tier and by the plain client",
  seconds: 180,
  limitMs: 20 * 60_000,
  run: measureMirror,
};

/** All transfers of one store, by the size of the checkpoint, in the order in which they were made. */
export type StoreSeen = Readonly<{ tier: readonly Transferred[]; plain: readonly Transferred[] }>;

async function measureMirror(signal: AbortSignal): Promise<Result> {
  const workspace = await mkdtemp(join(tmpdir(), "trainingrun-mirror-"));
  try {
    const seen: Partial<Record<StoreKind, StoreSeen>> = {};
    for (const kind of storeKinds) {
      await using store = await startStore(kind, { directory: join(workspace, kind), signal });
      seen[kind] = await measureStore(store, join(workspace, `${kind}-files`), signal);
      const { uploadRatio, downloadRatio } = figuresOf(seen[kind]);
      console.log(`  ${kind}: upload ${uploadRatio} of the plain client's throughput, download ${downloadRatio}`);
    }
    return mirrorResult(seen);
  } finally {
    await rm(workspace, { recursive: true, force: true });
  }
}

async function measureStore({ access }: ObjectStore, workspace: string, signal: AbortSignal): Promise<StoreSeen> {
  const { endpoint, bucket, region, accessKeyId, secretAccessKey } = access;
  const [credentials, back] = [join(workspace, "keys"), join(workspace, "back")];
  await mkdir(credentials, { recursive: true });
  await writeFile(join(credentials, "accessKeyId"), accessKeyId);
  await writeFile(join(credentials, "secretAccessKey"), secretAccessKey);
  const [tier, plain]: [Transferred[], Transferred[]] = [[], []];
  for (const { mebibytes, rounds } of sizes) {
    const volume = join(workspace, `${mebibytes}MiB`);
    await saveOnce(volume, mebibytes * mebibyte, signal);
    const transfer = { volume, back, endpoint, bucket, region, accessKeyId, secretAccessKey, credentials };
    // Whoever goes first in a round goes second in the next one.
    for (let round = 0; round <= rounds; round += 1) {
      const order = round % 2 === 0 ? (["Tier", "PlainClient"] as const) : (["PlainClient", "Tier"] as const);
      for (const by of order) {
        await rm(back, { recursive: true, force: true });
        await mkdir(back);
        const done = await inProcess({ ...transfer, by, key: randomUUID() }, signal);
        // The first round warms files, memory and the store.
        if (round > 0) (by === "Tier" ? tier : plain).push(done);
      }
    }
    await rm(volume, { recursive: true });
  }
  return { tier, plain };
}

/** A process of its own: what a save needs must not count as the mirror's memory. */
async function saveOnce(volume: string, bytes: number, signal: AbortSignal): Promise<void> {
  const program = fileURLToPath(new URL("save-throughput-contender.ts", import.meta.url));
  await mkdir(volume, { recursive: true });
  await promisify(execFile)(process.execPath, [program, "save-library", volume, `${bytes}`], { signal });
}

async function inProcess(transfer: Transfer, signal: AbortSignal): Promise<Transferred> {
  const worker = fileURLToPath(new URL("mirror-worker.ts", import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, [worker, JSON.stringify(transfer)], { signal });
  return Transferred.parse(JSON.parse(stdout));
}

/** What the transfers come to. */
export function mirrorResult(seen: Readonly<Partial<Record<StoreKind, StoreSeen>>>): Result {
  const stores = Object.fromEntries(Object.entries(seen).map(([kind, store]) => [kind, figuresOf(store)]));
  const all = Object.values(stores);
  const every = (holds: (figures: ReturnType<typeof figuresOf>) => boolean) =>
    all.length === storeKinds.length && all.every(holds);
  return {
    name: "mirror",
    figures: stores,
    goals: {
      rounds: { goal: "at least 5 of the smaller size with each store", met: every(({ counted }) => counted >= 5) },
      uploadRatio: { goal: "at least 0.8 with each store", met: every(({ uploadRatio }) => uploadRatio >= 0.8) },
      downloadRatio: { goal: "at least 0.8 with each store", met: every(({ downloadRatio }) => downloadRatio >= 0.8) },
      tierMemoryMiB: {
        goal: `at most ${memoryBoundBytes / mebibyte} MiB above the process's start for each size`,
        met: every(({ tierMemoryMiB }) =>
          Object.values(tierMemoryMiB).every((one) => one <= memoryBoundBytes / mebibyte),
        ),
      },
      tierMemoryGrowth: {
        goal: `at most ${growthLimit} times as much for four times the bytes`,
        met: every(({ tierMemoryGrowth }) => tierMemoryGrowth <= growthLimit),
      },
    },
  };
}

/** Throughputs are of the smaller size, of which there are more rounds. */
function figuresOf({ tier, plain }: StoreSeen) {
  const [smaller, larger] = [sizeGroup(Math.min), sizeGroup(Math.max)];
  const speed = (of: readonly Transferred[], direction: "uploadSeconds" | "downloadSeconds") =>
    median(smaller(of).map((one) => one.bytes / mebibyte / one[direction]));
  const [up, plainUp] = [speed(tier, "uploadSeconds"), speed(plain, "uploadSeconds")];
  const [down, plainDown] = [speed(tier, "downloadSeconds"), speed(plain, "downloadSeconds")];
  const memory = peaks(tier);
  return {
    counted: Math.min(smaller(tier).length, smaller(plain).length),
    uploadMiBps: Math.round(up),
    plainUploadMiBps: Math.round(plainUp),
    uploadRatio: rounded(up / plainUp),
    downloadMiBps: Math.round(down),
    plainDownloadMiBps: Math.round(plainDown),
    downloadRatio: rounded(down / plainDown),
    tierMemoryMiB: memory,
    tierMemoryGrowth: rounded(peakOf(larger(tier)) / peakOf(smaller(tier))),
    plainMemoryMiB: peaks(plain),
  };
}

/** Those transfers whose checkpoint is the smallest of them, or the largest. */
function sizeGroup(pick: (...sizes: number[]) => number) {
  return (of: readonly Transferred[]) => of.filter(({ bytes }) => bytes === pick(...of.map((one) => one.bytes)));
}

/** Mebibytes above the process's start at its worst, by mebibytes of the checkpoint. */
function peaks(of: readonly Transferred[]): Record<string, number> {
  const bySize = Map.groupBy(of, ({ bytes }) => `${Math.round(bytes / mebibyte)} MiB`);
  return Object.fromEntries([...bySize].map(([size, some]) => [size, peakOf(some)]));
}

function peakOf(of: readonly Transferred[]): number {
  return Math.round(Math.max(...of.map(({ peakBytes, startBytes }) => peakBytes - startBytes)) / mebibyte);
}
