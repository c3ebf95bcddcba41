import { mkdir, open, stat } from "node:fs/promises";
import { Agent } from "node:http";
import { join } from "node:path";
import { inLanes } from "@trainingrun/checkpoint/in-lanes.ts";
import { readLog } from "@trainingrun/checkpoint/log/read.ts";
import { openDirectoryStore } from "@trainingrun/checkpoint/store/directory-store.ts";
import { openObjectStore } from "@trainingrun/checkpoint/store/object/object-store.ts";
import { assembleCheckpoint } from "@trainingrun/checkpoint/tiers/assemble.ts";
import { mirrorCheckpoint } from "@trainingrun/checkpoint/tiers/mirror.ts";
import { Client } from "minio";
import { z } from "zod";
import { throughputRun } from "./save-throughput-run.ts";

/** What one process transfers: a saved checkpoint from its volume to the store and back onto another volume. */
export const Transfer = z.object({
  by: z.enum(["Tier", "PlainClient"]),
  /** Where the run of the throughput measures has been saved. */
  volume: z.string(),
  /** An empty directory. */
  back: z.string(),
  endpoint: z.string(),
  bucket: z.string(),
  region: z.string(),
  accessKeyId: z.string(),
  secretAccessKey: z.string(),
  /** Directory with the same keys, as a mounted Secret. */
  credentials: z.string(),
  /** Unique to the transfer. */
  key: z.string(),
});
export type Transfer = z.infer<typeof Transfer>;

/** What it took, and the memory that the process had before and at its peak. */
export const Transferred = z.object({
  bytes: z.number().positive(),
  uploadSeconds: z.number(),
  downloadSeconds: z.number(),
  startBytes: z.number(),
  peakBytes: z.number(),
});
export type Transferred = z.infer<typeof Transferred>;

const mebibyte = 1024 * 1024;
/** As our tier does it: parts of that size on their way at once, chunks of that size read at once. */
const [partBytes, parts] = [16 * mebibyte, 4];
const [chunkBytes, chunks] = [8 * mebibyte, 4];

type Way = Readonly<{ upload(): Promise<void>; download(): Promise<void>; remove(): Promise<void> }>;

async function main(transfer: Transfer): Promise<Transferred> {
  const way = transfer.by === "Tier" ? await mirrored(transfer) : plainClient(transfer);
  const bytes = (await stat(modelOf(transfer.volume))).size;
  const startBytes = process.memoryUsage().rss;
  const uploadSeconds = await seconds(() => way.upload());
  const downloadSeconds = await seconds(() => way.download());
  await way.remove();
  return { bytes, uploadSeconds, downloadSeconds, startBytes, peakBytes: process.resourceUsage().maxRSS * 1024 };
}

/** What an agent does: every chunk matched to the manifest before it goes on, in either direction. */
async function mirrored({ volume, back, key, ...address }: Transfer): Promise<Way> {
  const { root, runUid } = throughputRun(volume);
  const from = await openDirectoryStore(root, { runUid });
  const to = await openDirectoryStore(throughputRun(back).root, { runUid });
  const store = await openObjectStore({ ...address, runUid, prefix: key });
  const ref = (await readLog(from)).state.checkpoints.find((one) => one.directory === directory);
  if (ref === undefined) throw new Error(`Cannot mirror ${directory} because ${root} has none of that name`);
  return {
    // As the base of a later attempt: without a commit, for which another attempt than this would have to be open.
    upload: () => mirrorCheckpoint({ from, to: store, attempt: ref.attempt + 1 }, ref),
    download: async () => {
      const assembled = await assembleCheckpoint({ to, from: [store], checkpoint: ref });
      if (assembled.kind !== "assembled") throw new Error(assembled.message);
    },
    remove: () => store.removeRun(),
  };
}

/** The `minio` package as it is, with connections kept, without any sum or hash: from one file, and to another one. */
function plainClient({ volume, back, endpoint, bucket, key, accessKeyId, secretAccessKey, region }: Transfer): Way {
  const { hostname, port } = new URL(endpoint);
  const client = new Client({
    endPoint: hostname,
    port: Number(port),
    useSSL: false,
    accessKey: accessKeyId,
    secretKey: secretAccessKey,
    region,
    pathStyle: true,
    transportAgent: new Agent({ keepAlive: true }),
  });
  client.enableSHA256 = false;
  const source = modelOf(volume);
  return {
    upload: async () => {
      await using file = await open(source);
      const uploadId = await client.initiateNewMultipartUpload(bucket, key, {});
      const etags: { part: number; etag: string }[] = [];
      await inPieces((await file.stat()).size, { size: partBytes, lanes: parts }, async (body, position) => {
        await file.read(body, 0, body.byteLength, position);
        const partNumber = position / partBytes + 1;
        const config = { bucketName: bucket, objectName: key, uploadID: uploadId, partNumber, headers: {} };
        etags.push({ part: partNumber, etag: (await client.uploadPart(config, body)).etag });
      });
      const sorted = etags.toSorted((a, b) => a.part - b.part);
      await client.completeMultipartUpload(bucket, key, uploadId, sorted);
    },
    download: async () => {
      await mkdir(back, { recursive: true });
      await using file = await open(join(back, "plain"), "wx");
      await inPieces((await stat(source)).size, { size: chunkBytes, lanes: chunks }, async (target, position) => {
        let at = 0;
        for await (const some of await client.getPartialObject(bucket, key, position, target.byteLength)) {
          target.set(some, at);
          at += some.byteLength;
        }
        if (at !== target.byteLength)
          throw new Error(`Cannot read ${target.byteLength} bytes from ${position}: ${at} came`);
        await file.write(target, 0, target.byteLength, position);
      });
      await file.sync();
    },
    remove: () => client.removeObject(bucket, key),
  };
}

/** Does the work for every piece of that size, some at once, each lane with memory of its own. */
async function inPieces(
  bytes: number,
  { size, lanes }: { size: number; lanes: number },
  work: (memory: Buffer, position: number) => Promise<void>,
): Promise<void> {
  const positions = Array.from({ length: Math.ceil(bytes / size) }, (_, index) => index * size);
  const free = Array.from({ length: lanes }, () => Buffer.alloc(size));
  await inLanes(positions, lanes, async (position) => {
    const memory = free.pop() ?? Buffer.alloc(size);
    await work(memory.subarray(0, Math.min(size, bytes - position)), position);
    free.push(memory);
  });
}

const directory = "step-000000000002-a0001";

function modelOf(volume: string): string {
  const { root, model } = throughputRun(volume);
  return join(root, "data", directory, model);
}

async function seconds(work: () => Promise<void>): Promise<number> {
  const started = performance.now();
  await work();
  return (performance.now() - started) / 1000;
}

if (import.meta.main) {
  console.log(JSON.stringify(await main(Transfer.parse(JSON.parse(process.argv[2] ?? "")))));
  process.exit(0);
}
