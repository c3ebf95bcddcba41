import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type ObjectStore, startStore, storeKinds } from "../../../object-store/store.ts";
import { aClientAct, playClient } from "./test/client-history.ts";
import { clientOf, serveBucket } from "./test/served-bucket.ts";

/*
 * The model bucket is worth what it has in common with real stores: the product's own client plays generated histories on
 * it and on both S3 servers, and is answered the same, refusals included. Left out is what only one of them has: lists of
 * uploads are compared by what giving them up says, since MinIO knows them by whole keys alone.
 */

const histories = Number(process.env.BUCKET_HISTORIES ?? 40);

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "trainingrun-conformance-"));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

test.each(storeKinds)("the model bucket answers as %s does", async (kind) => {
  await using server: ObjectStore = await startStore(kind, { directory: join(directory, kind) });
  const real = await clientOf(server.access);
  const model = await clientOf((await serveBucket()).access);
  let number = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(aClientAct(), { minLength: 5, maxLength: 30 }), async (history) => {
      number += 1;
      const prefix = `history-${number}`;
      expect(await playClient(history, { client: model, prefix })).toEqual(
        await playClient(history, { client: real, prefix }),
      );
    }),
    { numRuns: histories, seed: 7 },
  );
});
