import { createHash } from "node:crypto";
import type { Change, Recording, Tree } from "./changes.ts";
import { type Luck, ModelDisk } from "./disk.ts";

/** What a power cut may leave, and whether the process had said by then that it was done. */
export type State = Readonly<{ tree: Tree; acknowledged: boolean; after: string }>;

/** How many states were looked at and how many of them differ; `cuts` are the instants between two changes. */
export type StateCount = { cuts: number; states: number; distinct: number; exhausted: number };

/**
 * Every different state that a power cut at any instant may leave. Where one instant has more than `atOnce` states, that
 * many are drawn: nothing kept, all kept, each single thing kept or lost, then at random from the seed.
 */
export function* statesOf(
  { before, changes, judgedFrom = 0 }: Omit<Recording, "scenario">,
  { atOnce, seed, count }: { atOnce: number; seed: number; count: StateCount },
): Generator<State> {
  const disk = new ModelDisk(before);
  const known = new Set<string>();
  let acknowledged = false;
  for (const [index, change] of changes.entries()) {
    disk.play(change);
    if (index < judgedFrom) continue;
    acknowledged ||= change.kind === "acknowledged";
    count.cuts += 1;
    const draws = drawsOf(sizesOf(disk), { atOnce, seed: seed + count.cuts });
    if (draws.isComplete) count.exhausted += 1;
    for (const choices of draws.all) {
      count.states += 1;
      const tree = disk.cut(luckOf(choices));
      const key = `${acknowledged} ${keyOf(tree)}`;
      if (known.has(key)) continue;
      known.add(key);
      count.distinct += 1;
      yield { tree, acknowledged, after: describe(change) };
    }
  }
}

/** How many answers each question has at this instant. */
function sizesOf(disk: ModelDisk): number[] {
  const sizes: number[] = [];
  disk.cut({
    keepsName: () => {
      sizes.push(2);
      return false;
    },
    keepsSectors: (count) => {
      sizes.push(sectorChoices(count).length);
      return { kept: [], length: false };
    },
  });
  return sizes;
}

type SectorChoice = Readonly<{ kept: readonly boolean[]; length: boolean }>;

const choicesOf = new Map<number, readonly SectorChoice[]>();
/** Of a file with more sectors, so many are picked, evenly. */
const pickedSectors = 12;

/** What may become of a file's sectors: all subsets of a few; of many, torn after some, and some lost alone. */
function sectorChoices(count: number): readonly SectorChoice[] {
  const known = choicesOf.get(count);
  if (known !== undefined) return known;
  const sectors = Array.from({ length: count }, (_, index) => index);
  const picked = sectors.filter((index) => index % Math.ceil(count / pickedSectors) === 0);
  const subsets =
    count <= 3
      ? Array.from({ length: 2 ** count }, (_, bits) => sectors.map((index) => ((bits >> index) & 1) === 1))
      : [
          ...picked.map((torn) => sectors.map((index) => index < torn)),
          ...picked.map((lost) => sectors.map((index) => index !== lost)),
          sectors.map(() => true),
        ];
  const choices = [false, true].flatMap((length) => subsets.map((kept) => ({ kept, length })));
  choicesOf.set(count, choices);
  return choices;
}

/** Answers the questions in their order; the first answer keeps nothing, the last keeps everything. */
function luckOf(choices: readonly number[]): Luck {
  let asked = 0;
  const next = () => {
    asked += 1;
    return choices[asked - 1] ?? 0;
  };
  return {
    keepsName: () => next() === 1,
    keepsSectors: (count) => sectorChoices(count)[next()] ?? { kept: [], length: false },
  };
}

function drawsOf(
  sizes: readonly number[],
  { atOnce, seed }: { atOnce: number; seed: number },
): { all: Iterable<readonly number[]>; isComplete: boolean } {
  const total = sizes.reduce((product, size) => product * size, 1);
  if (total <= atOnce) return { all: everyChoice(sizes), isComplete: true };
  const none = sizes.map(() => 0);
  const all = sizes.map((size) => size - 1);
  const corners = sizes.flatMap((size, index) =>
    Array.from({ length: size }, (_, choice) => [none.with(index, choice), all.with(index, choice)]).flat(),
  );
  const random = generator(seed);
  const shuffled = corners.map((corner) => ({ corner, at: random() })).sort((a, b) => a.at - b.at);
  const drawn = Array.from({ length: Math.max(0, atOnce - 2 - corners.length) }, () =>
    sizes.map((size) => Math.floor(random() * size)),
  );
  const single = shuffled.map(({ corner }) => corner);
  return { all: [none, all, ...single, ...drawn].slice(0, atOnce), isComplete: false };
}

/** Every combination of answers, as an odometer counts. */
function* everyChoice(sizes: readonly number[]): Generator<readonly number[]> {
  const total = sizes.reduce((product, size) => product * size, 1);
  for (let number = 0; number < total; number += 1) {
    let left = number;
    yield sizes.map((size) => {
      const choice = left % size;
      left = Math.floor(left / size);
      return choice;
    });
  }
}

/** A small generator of numbers below 1 (mulberry32), so that a seed gives the same states everywhere. */
function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

function keyOf(tree: Tree): string {
  const hash = createHash("sha256");
  for (const path of [...tree.keys()].sort()) {
    hash.update(`${path}\0`);
    const bytes = tree.get(path);
    hash.update(bytes == null ? "d" : `f${bytes.byteLength}\0`);
    if (bytes != null) hash.update(bytes);
  }
  return hash.digest("hex");
}

/** A change in a few words. */
export function describe(change: Change): string {
  switch (change.kind) {
    case "rename":
    case "link":
      return `${change.kind} ${change.from} ${change.to}`;
    case "acknowledged":
      return change.kind;
    default:
      return `${change.kind} ${change.path || "the run's directory"}`;
  }
}
