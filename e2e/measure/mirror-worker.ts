import { Agent } from "node:http";
import { openObjectStore } from "@trainingrun/checkpoint/store/object/object-store.ts";
import { Client } from "minio";
import { z } from "zod";

/** What one process transfers: a file of so many bytes to the store and back, by our tier or by the plain client. */
export const Transfer = z.object({
  by: z.enum(["Tier", "PlainClient"]),
  bytes: z.int().min(1),
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

interface Way {
  upload(): Promise<void>;
  read(target: Uint8Array, position: number): Promise<number>;
  remove(): Promise<void>;
}

async function main(transfer: Transfer): Promise<Transferred> {
  const way = transfer.by === "Tier" ? await tier(transfer) : plainClient(transfer);
  const startBytes = process.memoryUsage().rss;
  const uploadSeconds = await seconds(() => way.upload());
  const downloadSeconds = await seconds(() => download(way, transfer.bytes));
  await way.remove();
  return { uploadSeconds, downloadSeconds, startBytes, peakBytes: process.resourceUsage().maxRSS * 1024 };
}

async function tier({ bytes, key, ...address }: Transfer): Promise<Way> {
  const store = await openObjectStore({ ...address, runUid: key });
  const path = "model.safetensors";
  const place = { step: 1, attempt: 1 };
  const file = async () => {
    const [name = ""] = await store.names();
    const opened = await store.checkpoint(name).open(path);
    if (opened === null) throw new Error(`Cannot read ${path} back: it is not there`);
    return opened;
  };
  let opened: ReturnType<typeof file> | undefined;
  return {
    upload: async () => {
      const writer = await store.begin(place);
      await writer.write(path, pieces(bytes), bytes);
      await writer.publish(new TextEncoder().encode("{}"));
    },
    read: async (target, position) => {
      opened ??= file();
      return (await opened).read(target, position);
    },
    remove: () => store.removeRun(),
  };
}

/** The `minio` package as it is, with connections kept and without any hash. */
function plainClient({ endpoint, bucket, bytes, key, accessKeyId, secretAccessKey, region }: Transfer): Way {
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
  const part = Buffer.from(piece(partBytes));
  return {
    upload: async () => {
      const uploadId = await client.initiateNewMultipartUpload(bucket, key, {});
      const numbers = Array.from({ length: Math.ceil(bytes / partBytes) }, (_, index) => index + 1);
      const etags: { part: number; etag: string }[] = [];
      await inLanes(numbers, parts, async (partNumber) => {
        const body = part.subarray(0, Math.min(partBytes, bytes - (partNumber - 1) * partBytes));
        const config = { bucketName: bucket, objectName: key, uploadID: uploadId, partNumber, headers: {} };
        etags.push({ part: partNumber, etag: (await client.uploadPart(config, body)).etag });
      });
      await client.completeMultipartUpload(
        bucket,
        key,
        uploadId,
        etags.toSorted((a, b) => a.part - b.part),
      );
    },
    read: async (target, position) => {
      let at = 0;
      for await (const some of await client.getPartialObject(bucket, key, position, target.byteLength)) {
        target.set(some, at);
        at += some.byteLength;
      }
      return at;
    },
    remove: () => client.removeObject(bucket, key),
  };
}

/** Reads the whole file in chunks, some at once, each lane into memory of its own. */
async function download(way: Way, bytes: number): Promise<void> {
  const positions = Array.from({ length: Math.ceil(bytes / chunkBytes) }, (_, index) => index * chunkBytes);
  const free = Array.from({ length: chunks }, () => new Uint8Array(chunkBytes));
  await inLanes(positions, chunks, async (position) => {
    const buffer = free.pop() ?? new Uint8Array(chunkBytes);
    const target = buffer.subarray(0, Math.min(chunkBytes, bytes - position));
    const read = await way.read(target, position);
    if (read !== target.byteLength)
      throw new Error(`Cannot read ${target.byteLength} bytes from ${position}: ${read} came`);
    free.push(buffer);
  });
}

async function inLanes<T>(items: readonly T[], lanes: number, work: (item: T) => Promise<void>): Promise<void> {
  const left = items.values();
  const lane = async () => {
    for (const item of left) await work(item);
  };
  await Promise.all(Array.from({ length: lanes }, lane));
}

async function* pieces(bytes: number): AsyncGenerator<Uint8Array> {
  const whole = piece(chunkBytes);
  for (let at = 0; at < bytes; at += chunkBytes) yield whole.subarray(0, Math.min(chunkBytes, bytes - at));
}

/** Bytes that no store compresses to nothing. */
function piece(bytes: number): Uint8Array {
  let state = 1;
  return new Uint8Array(
    new Uint32Array(bytes / 4).map(() => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      return state;
    }).buffer,
  );
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
