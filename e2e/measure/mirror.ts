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
const bytes = 256 * mebibyte;
const rounds = 7;
/** Five parts of 16 MiB, and as much again for copies on their way through Node and its connections. */
const memoryBoundBytes = 2 * 5 * 16 * mebibyte;

/**
 * A file of 256 MiB to a real store and back by our object-store tier, which sums every part and sizes every file, beside
 * the plain `minio` client with the same sizes of parts, as many at once, and no sum: in turn, each in a process of its
 * own, over loopback.
 */
export const mirror: Measurement = {
  name: "mirror",
  what: `${rounds} rounds of ${bytes / mebibyte} MiB to each of two stores and back, by our tier and by the plain client`,
  seconds: 120,
  limitMs: 20 * 60_000,
  run: measureMirror,
};

/** All transfers of one store, in the order in which they were made. */
export type StoreSeen = Readonly<{ tier: readonly Transferred[]; plain: readonly Transferred[] }>;

async function measureMirror(signal: AbortSignal): Promise<Result> {
  const workspace = await mkdtemp(join(tmpdir(), "trainingrun-mirror-"));
  try {
    const seen: Partial<Record<StoreKind, StoreSeen>> = {};
    for (const kind of storeKinds) {
      await using store = await startStore(kind, { directory: join(workspace, kind), signal });
      seen[kind] = await measureStore(store, join(workspace, `${kind}-keys`), signal);
      const { uploadRatio, downloadRatio } = figuresOf(seen[kind]);
      console.log(`  ${kind}: upload ${uploadRatio} of the plain client's throughput, download ${downloadRatio}`);
    }
    return mirrorResult(seen);
  } finally {
    await rm(workspace, { recursive: true, force: true });
  }
}

async function measureStore({ access }: ObjectStore, credentials: string, signal: AbortSignal): Promise<StoreSeen> {
  const { endpoint, bucket, region, accessKeyId, secretAccessKey } = access;
  await mkdir(credentials);
  await writeFile(join(credentials, "accessKeyId"), accessKeyId);
  await writeFile(join(credentials, "secretAccessKey"), secretAccessKey);
  const transfer = { bytes, endpoint, bucket, region, accessKeyId, secretAccessKey, credentials };
  const [tier, plain]: [Transferred[], Transferred[]] = [[], []];
  // Whoever goes first in a round goes second in the next one.
  for (let round = 0; round <= rounds; round += 1) {
    const order = round % 2 === 0 ? (["Tier", "PlainClient"] as const) : (["PlainClient", "Tier"] as const);
    for (const by of order) {
      const done = await inProcess({ ...transfer, by, key: randomUUID() }, signal);
      // The first round warms files, memory and the store.
      if (round > 0) (by === "Tier" ? tier : plain).push(done);
    }
  }
  return { tier, plain };
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
    figures: { fileMiB: bytes / mebibyte, rounds, ...stores },
    goals: {
      rounds: { goal: "at least 5 with each store", met: every(({ counted }) => counted >= 5) },
      uploadRatio: { goal: "at least 0.8 with each store", met: every(({ uploadRatio }) => uploadRatio >= 0.8) },
      downloadRatio: { goal: "at least 0.8 with each store", met: every(({ downloadRatio }) => downloadRatio >= 0.8) },
      tierMemoryMiB: {
        goal: `at most ${memoryBoundBytes / mebibyte} MiB above the process's start, whatever the file's size`,
        met: every(({ tierMemoryMiB }) => tierMemoryMiB <= memoryBoundBytes / mebibyte),
      },
    },
  };
}

function figuresOf({ tier, plain }: StoreSeen) {
  const speed = (of: readonly Transferred[], direction: "uploadSeconds" | "downloadSeconds") =>
    median(of.map((one) => bytes / mebibyte / one[direction]));
  const memory = (of: readonly Transferred[]) =>
    Math.round(Math.max(...of.map(({ peakBytes, startBytes }) => peakBytes - startBytes)) / mebibyte);
  const [up, plainUp] = [speed(tier, "uploadSeconds"), speed(plain, "uploadSeconds")];
  const [down, plainDown] = [speed(tier, "downloadSeconds"), speed(plain, "downloadSeconds")];
  return {
    counted: Math.min(tier.length, plain.length),
    uploadMiBps: Math.round(up),
    plainUploadMiBps: Math.round(plainUp),
    uploadRatio: rounded(up / plainUp),
    downloadMiBps: Math.round(down),
    plainDownloadMiBps: Math.round(plainDown),
    downloadRatio: rounded(down / plainDown),
    tierMemoryMiB: memory(tier),
    plainMemoryMiB: memory(plain),
  };
}
