import { cp, rm, stat } from "node:fs/promises";
import fc from "fast-check";
import { expect, test } from "vitest";
import { verifyCheckpoint } from "../src/verify.ts";
import { deleteFile, flipBit, swapFiles, truncateFile, zeroRange } from "./damage.ts";
import { pathIn, savedRun } from "./fixture.ts";

const names = ["MANIFEST.json", "model.safetensors", "state.json"] as const;

/** One random damage; `at` is a place between the file's start (0) and its end (1). */
const damage = fc.record({
  kind: fc.constantFrom("truncate", "flip", "zero", "swap", "delete"),
  file: fc.constantFrom(...names),
  other: fc.constantFrom(...names),
  at: fc.double({ min: 0, max: 0.999, noNaN: true }),
  bit: fc.nat(7),
  bytes: fc.integer({ min: 1, max: 4096 }),
});
type Damage = typeof damage extends fc.Arbitrary<infer T> ? T : never;

test("every one of 250 random damages is found, and there is no false alarm on what is whole", async () => {
  const { store, saved } = await savedRun([10]);
  const [whole] = saved;
  if (whole === undefined) throw new Error("Cannot damage because nothing was saved");
  const expected = { digest: whole.manifest.digest, directory: whole.directory };
  const directory = pathIn(store, whole.directory);
  const spare = `${store.root}/spare`;
  await cp(directory, spare, { recursive: true });
  let damaged = 0;
  let found = 0;
  let alarms = 0;
  const property = fc.asyncProperty(damage, async (pick) => {
    if (!(await inflict(directory, pick))) return;
    damaged += 1;
    if (!(await verifyCheckpoint(store, expected)).ok) found += 1;
    await rm(directory, { recursive: true });
    await cp(spare, directory, { recursive: true });
    if (!(await verifyCheckpoint(store, expected)).ok) alarms += 1;
    expect({ found, alarms, pick }).toEqual({ found: damaged, alarms: 0, pick });
  });
  await fc.assert(property, { numRuns: 320, endOnFailure: true });
  expect(damaged).toBeGreaterThanOrEqual(250);
}, 120_000);

/** Says whether anything changed: zeros over zeros, or a file swapped with itself, are no damage. */
async function inflict(directory: string, { kind, file, other, at, bit, bytes }: Damage): Promise<boolean> {
  const path = `${directory}/${file}`;
  const position = Math.floor(at * (await stat(path)).size);
  if (kind === "zero") return zeroRange(path, { from: position, bytes });
  if (kind === "swap" && file === other) return false;
  if (kind === "truncate") await truncateFile(path, position);
  if (kind === "flip") await flipBit(path, position * 8 + bit);
  if (kind === "swap") await swapFiles(path, `${directory}/${other}`);
  if (kind === "delete") await deleteFile(path);
  return true;
}
