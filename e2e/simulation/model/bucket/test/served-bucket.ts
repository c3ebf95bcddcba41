import { createServer } from "node:http";
import { ObjectClient } from "@trainingrun/checkpoint/store/object/object-client.ts";
import { onTestFinished } from "vitest";
import { impatient, mountSecret, secretOf } from "../../../../object-store/run-store.ts";
import type { StoreAccess } from "../../../../object-store/store-access.ts";
import { Bucket, type BucketOptions } from "../bucket.ts";
import { answerS3 } from "../http-face.ts";

/** A model bucket that is served on this machine until the test ends, so that the real client can be pointed at it. */
export async function serveBucket(
  options: Partial<BucketOptions> = {},
): Promise<Readonly<{ bucket: Bucket; access: StoreAccess }>> {
  const bucket = new Bucket({ name: "checkpoints", clock: () => Date.now(), ...options });
  const server = createServer(async (request, response) => {
    const body = Buffer.concat(await Array.fromAsync(request as AsyncIterable<Buffer>));
    const { method = "", url = "/", headers } = request;
    const answer = answerS3(bucket, { method, path: url, headers, body });
    if (answer === "reset") return void request.socket.destroy();
    response.writeHead(answer.status, answer.headers);
    response.write(answer.body);
    // What is shorter than was said breaks off, as on the wire.
    if (answer.body.byteLength < Number(answer.headers["content-length"]) && method !== "HEAD") response.destroy();
    else response.end();
  });
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    return new Promise<void>((resolve) => void server.close(() => resolve()));
  });
  const address = server.address();
  if (typeof address !== "object" || address === null) throw new Error("Cannot serve a bucket: the server has no port");
  const endpoint = `http://127.0.0.1:${address.port}`;
  const keys = { accessKeyId: "model", secretAccessKey: "of no matter" };
  return { bucket, access: { endpoint, bucket: bucket.name, region: "us-east-1", ...keys } };
}

/** The product's own client for a bucket; it goes with the test. */
export async function clientOf(access: StoreAccess): Promise<ObjectClient> {
  const { directory: credentials } = await mountSecret(secretOf(access));
  const { endpoint, bucket, region } = access;
  const client = new ObjectClient({ endpoint, bucket, region, credentials, patience: impatient });
  onTestFinished(() => client.close());
  return client;
}
