import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Batch, Batches, batches, type Dataset, datasetDigest, rowsOf } from "./batches.ts";

/** A data set whose only column holds its row numbers. */
function numbered(size: number): Dataset<"row"> {
  return { size, columns: { row: { values: Int32Array.from({ length: size }, (_, row) => row), shape: [] } } };
}

const rows = (batch: Batch<"row">) => [...batch.row.values];

describe("batches", () => {
  test("hold each row exactly once per epoch, in another order each epoch", () => {
    let reordered = 0;
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 40 }),
        fc.integer({ min: 1, max: 50 }),
        fc.nat(1000),
        (size, batchSize, seed) => {
          const data = batches(numbered(size), { batchSize, seed });
          const drawn: number[] = [];
          while (drawn.length < size * 3) drawn.push(...rows(data.next()));
          const epochs = [0, 1, 2].map((epoch) => drawn.slice(epoch * size, (epoch + 1) * size));
          for (const epoch of epochs)
            expect(epoch.toSorted((a, b) => a - b)).toEqual([...numbered(size).columns.row.values]);
          if (`${epochs[0]}` !== `${epochs[1]}`) reordered += 1;
        },
      ),
    );
    expect(reordered).toBeGreaterThan(50);
  });

  test("go on from a cursor with the very rows that would have come, whatever the new sequence's seed", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 40 }),
        fc.integer({ min: 1, max: 20 }),
        fc.nat(30),
        (size, batchSize, drawn) => {
          const undisturbed = new Batches(numbered(size), { batchSize, seed: 1 });
          for (let index = 0; index < drawn; index += 1) undisturbed.next();
          const resumed = new Batches(numbered(size), { batchSize, seed: 2 });
          resumed.seek(structuredClone(undisturbed.cursor));
          expect(resumed.samples).toBe(undisturbed.samples);
          const rest = (data: Batches<"row">) => Array.from({ length: 10 }, () => rows(data.next()));
          expect(rest(resumed)).toEqual(rest(undisturbed));
        },
      ),
    );
  });

  test("count the rows they have drawn", () => {
    const data = batches(numbered(10), { batchSize: 4, seed: 1 });
    for (let index = 0; index < 6; index += 1) data.next();
    expect(data.samples).toBe(24);
    expect(data.cursor).toMatchObject({ epoch: 2, position: 4 });
  });

  test("turn bytes into fractions of 255 and keep the shape of a row", () => {
    const dataset: Dataset<"image"> = {
      size: 2,
      columns: { image: { values: Uint8Array.of(0, 51, 255, 102), shape: [1, 2] } },
    };
    expect(rowsOf(dataset, 0, 5)).toEqual({
      image: { values: Float32Array.of(0, 51 / 255, 1, 102 / 255), shape: [2, 1, 2] },
    });
  });

  test.each([
    [
      "no rows",
      () => batches(numbered(0), { batchSize: 1, seed: 0 }),
      "Cannot make batches because a data set needs at least one row: 0.",
    ],
    [
      "an empty batch",
      () => batches(numbered(3), { batchSize: 0, seed: 0 }),
      "Cannot make batches because batchSize must be a whole number above 0: 0.",
    ],
    [
      "a broken seed",
      () => batches(numbered(3), { batchSize: 1, seed: -1 }),
      "Cannot make batches because seed must be a whole number from 0 to 2^32 - 1: -1.",
    ],
    [
      "a column of the wrong length",
      () =>
        batches({ size: 2, columns: { x: { values: new Float32Array(3), shape: [2] } } }, { batchSize: 1, seed: 0 }),
      "Cannot make batches because column x must hold 2 rows of [2], 4 values: 3.",
    ],
    [
      "a cursor of a larger data set",
      () => batches(numbered(3), { batchSize: 1, seed: 0 }).seek({ epoch: 0, permutationSeed: 1, position: 3 }),
      "Cannot go on in the data because the position must lie in its 3 rows: 3.",
    ],
  ])("refuse %s", (_, attempt, message) => {
    expect(attempt).toThrow(message);
  });
});

test("the digest of a data set names its values, not the order in which its columns were written down", () => {
  const x = { values: Float32Array.of(1, 2), shape: [] };
  const y = { values: Int32Array.of(1, 2), shape: [] };
  const digest = datasetDigest({ size: 2, columns: { x, y } });
  expect(datasetDigest({ size: 2, columns: { y, x } })).toBe(digest);
  const other = { values: Float32Array.of(1, 3), shape: [] };
  expect(datasetDigest({ size: 2, columns: { x: other, y } })).not.toBe(digest);
});
