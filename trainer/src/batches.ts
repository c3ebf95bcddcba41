import type { Digest } from "@trainingrun/checkpoint/contract/digest.ts";
import { createHasher } from "@trainingrun/checkpoint/hash.ts";
import { derivedSeed, isSeed, Random } from "./random.ts";

/** One column of a data set: `size` rows of `shape` values each, row after row. Bytes stand for 0..1 in steps of 1/255. */
export type Column = {
  readonly values: Float32Array | Int32Array | Uint8Array;
  /** The shape of one row; `[]` for one number. */
  readonly shape: readonly number[];
};

/** Rows in memory, by column. Every column has the same number of rows. */
export type Dataset<Name extends string = string> = {
  readonly size: number;
  readonly columns: Readonly<Record<Name, Column>>;
};

/** Values of one batch by column; the shape's first number is the count of rows. */
export type Batch<Name extends string = string> = Readonly<
  Record<Name, { readonly values: Float32Array | Int32Array; readonly shape: readonly number[] }>
>;

/** Where the data stands: everything that decides which rows come next. */
export type Cursor = { readonly epoch: number; readonly permutationSeed: number; readonly position: number };

/** Names the order of the permutation's random stream among the uses of one seed. */
const permutationStream = 1;

/** Rows in an order drawn anew each epoch; see {@link Batches}. `seed` alone decides the order. */
export function batches<Name extends string>(
  dataset: Dataset<Name>,
  options: { batchSize: number; seed: number },
): Batches<Name> {
  return new Batches(dataset, options);
}

/**
 * An endless sequence of batches with an exact cursor. An epoch's order is a function of the permutation's seed and
 * the epoch's number, so nothing about it needs saving but the cursor. A batch may straddle two epochs: all batches
 * have the same size, and each epoch holds each row exactly once.
 */
export class Batches<Name extends string = string> {
  readonly dataset: Dataset<Name>;
  readonly batchSize: number;
  #cursor: Cursor;
  #order: { epoch: number; permutationSeed: number; rows: Uint32Array } | null = null;

  constructor(dataset: Dataset<Name>, { batchSize, seed }: { batchSize: number; seed: number }) {
    checkDataset(dataset);
    if (!Number.isInteger(batchSize) || batchSize < 1) {
      throw new RangeError(`Cannot make batches because batchSize must be a whole number above 0: ${batchSize}.`);
    }
    if (!isSeed(seed)) {
      throw new RangeError(`Cannot make batches because seed must be a whole number from 0 to 2^32 - 1: ${seed}.`);
    }
    this.dataset = dataset;
    this.batchSize = batchSize;
    this.#cursor = { epoch: 0, permutationSeed: derivedSeed(seed, permutationStream), position: 0 };
  }

  get cursor(): Cursor {
    return this.#cursor;
  }

  /** Goes to where another sequence over as many rows stood. The batch size may differ: the position counts rows. */
  seek(cursor: Cursor): void {
    if (!Number.isInteger(cursor.position) || cursor.position < 0 || cursor.position >= this.dataset.size) {
      throw new RangeError(
        `Cannot go on in the data because the position must lie in its ${this.dataset.size} rows: ${cursor.position}.`,
      );
    }
    this.#cursor = { epoch: cursor.epoch, permutationSeed: cursor.permutationSeed, position: cursor.position };
  }

  /** Rows drawn so far. */
  get samples(): number {
    return this.#cursor.epoch * this.dataset.size + this.#cursor.position;
  }

  /** Names the data in `environment.json`. */
  digest(): Digest {
    return datasetDigest(this.dataset);
  }

  next(): Batch<Name> {
    const rows = new Uint32Array(this.batchSize);
    for (let index = 0; index < this.batchSize; index += 1) rows[index] = this.#nextRow();
    return pickRows(this.dataset, rows);
  }

  #nextRow(): number {
    const { epoch, permutationSeed, position } = this.#cursor;
    if (this.#order?.epoch !== epoch || this.#order.permutationSeed !== permutationSeed) {
      this.#order = { epoch, permutationSeed, rows: permutation(this.dataset.size, permutationSeed, epoch) };
    }
    const last = position + 1 === this.dataset.size;
    this.#cursor = { permutationSeed, epoch: last ? epoch + 1 : epoch, position: last ? 0 : position + 1 };
    return this.#order.rows[position] ?? 0;
  }
}

/** The rows `from` to `to` in stored order, for evaluation. */
export function rowsOf<Name extends string>(dataset: Dataset<Name>, from: number, to: number): Batch<Name> {
  const end = Math.min(to, dataset.size);
  return pickRows(
    dataset,
    Uint32Array.from({ length: Math.max(0, end - from) }, (_, index) => from + index),
  );
}

/** A digest over every value of the data set, for `environment.json`. */
export function datasetDigest(dataset: Dataset): Digest {
  const hasher = createHasher();
  for (const [name, { values, shape }] of Object.entries(dataset.columns).sort(([a], [b]) => (a < b ? -1 : 1))) {
    hasher.update(new TextEncoder().encode(`${JSON.stringify([name, values.constructor.name, shape])}\n`));
    hasher.update(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
  }
  return hasher.digest();
}

/** The order of an epoch's rows: Fisher and Yates' shuffle by the epoch's own generator. */
function permutation(size: number, seed: number, epoch: number): Uint32Array {
  const random = new Random({ seed: derivedSeed(seed, epoch), counter: 0 });
  const rows = Uint32Array.from({ length: size }, (_, index) => index);
  for (let index = size - 1; index > 0; index -= 1) {
    const other = random.below(index + 1);
    const held = rows[index] ?? 0;
    rows[index] = rows[other] ?? 0;
    rows[other] = held;
  }
  return rows;
}

function pickRows<Name extends string>(dataset: Dataset<Name>, rows: Uint32Array): Batch<Name> {
  const batch: Partial<Record<Name, { values: Float32Array | Int32Array; shape: readonly number[] }>> = {};
  for (const name of columnNames(dataset)) batch[name] = pickColumn(dataset.columns[name], rows);
  return batch as Batch<Name>;
}

function pickColumn(
  { values, shape }: Column,
  rows: Uint32Array,
): { values: Float32Array | Int32Array; shape: number[] } {
  const width = shape.reduce((product, extent) => product * extent, 1);
  const length = rows.length * width;
  const picked = values instanceof Int32Array ? new Int32Array(length) : new Float32Array(length);
  rows.forEach((row, index) => {
    picked.set(values.subarray(row * width, (row + 1) * width), index * width);
  });
  if (values instanceof Uint8Array)
    for (let index = 0; index < length; index += 1) picked[index] = (picked[index] ?? 0) / 255;
  return { values: picked, shape: [rows.length, ...shape] };
}

function columnNames<Name extends string>(dataset: Dataset<Name>): Name[] {
  return Object.keys(dataset.columns) as Name[];
}

function checkDataset(dataset: Dataset): void {
  if (!Number.isInteger(dataset.size) || dataset.size < 1) {
    throw new RangeError(`Cannot make batches because a data set needs at least one row: ${dataset.size}.`);
  }
  for (const [name, { values, shape }] of Object.entries(dataset.columns)) {
    const expected = shape.reduce((product, extent) => product * extent, dataset.size);
    if (values.length !== expected) {
      throw new RangeError(
        `Cannot make batches because column ${name} must hold ${dataset.size} rows of [${shape}], ` +
          `${expected} values: ${values.length}.`,
      );
    }
  }
}
