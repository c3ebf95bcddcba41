import { interfaces } from "../../host/network.ts";
import type { SimProcess } from "../../host/process.ts";
import type { Bucket } from "./bucket.ts";
import { answerS3 } from "./http-face.ts";

/**
 * Lets a process of the simulated host answer for a bucket at a port of its address, until it ends; the bucket outlives it,
 * and another process may go on. What becomes of requests and answers on their way is the network's affair.
 */
export function serveBucketFrom(process: SimProcess, { bucket, port }: { bucket: Bucket; port: number }): void {
  const { network } = interfaces.of(process);
  network.listen(port, { process, take: (asked, answer) => answer(answerS3(bucket, asked)) });
}
