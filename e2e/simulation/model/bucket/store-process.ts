import { interfaces } from "../../host/network.ts";
import type { SimProcess } from "../../host/process.ts";
import type { Bucket } from "./bucket.ts";
import { type AskedOfStore, answerS3 } from "./http-face.ts";

/** Which bucket, and where. `heard` is told of each request as it comes. */
export type ServedBucket = Readonly<{ bucket: Bucket; port: number; heard?: (asked: AskedOfStore) => void }>;

/**
 * Lets a process of the simulated host answer for a bucket at a port of its address, until it ends; the bucket outlives it,
 * and another process may go on. What becomes of requests and answers on their way is the network's affair.
 */
export function serveBucketFrom(process: SimProcess, { bucket, port, heard = () => undefined }: ServedBucket): void {
  const { network } = interfaces.of(process);
  const take = (asked: AskedOfStore) => {
    heard(asked);
    return answerS3(bucket, asked);
  };
  network.listen(port, { process, take: (asked, answer) => answer(take(asked)) });
}
