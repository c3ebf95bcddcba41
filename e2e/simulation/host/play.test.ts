import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";
import type { ToyPlay } from "./test/toys.ts";

type ChildPlay = ToyPlay & Readonly<{ leaked: readonly string[] }>;

const child = join(import.meta.dirname, "test/play-child.ts");

/** Plays the toys in a Node of its own. */
async function playApart(seed: number): Promise<ChildPlay> {
  const { stdout } = await promisify(execFile)(process.execPath, [child, String(seed), "5000"], {
    maxBuffer: 64 * 1024 * 1024,
    timeout: 50_000,
  });
  return JSON.parse(stdout) as ChildPlay;
}

/** What the processes said, in its order and with its instants. */
function said({ lines }: ToyPlay, name: string): string[] {
  return lines.filter((line) => line.includes(` ${name}`) && line.includes(": says "));
}

describe("a play of timers, servers, clients and the real queue, limit and log", () => {
  const plays = Promise.all([playApart(1), playApart(1), playApart(2)]);

  test("is the same to the last line in another Node, of the same seed", async () => {
    const [one, again] = await plays;
    expect(again).toEqual(one);
    expect(one.lines.length).toBeGreaterThan(300);
  });

  test("is another one for another seed", async () => {
    const [one, , other] = await plays;
    expect(other.hash).not.toBe(one.hash);
    for (const name of ["server", "asker", "plain", "queue", "limited", "writer"]) {
      expect(said(other, name)).not.toEqual(said(one, name));
    }
  });

  test("leaves nothing of the real machine behind", async () => {
    for (const { leaked } of await plays) expect(leaked).toEqual([]);
  });

  test("shows what was killed and what stood still", async () => {
    for (const { lines } of await plays) {
      const killed = lines.findIndex((line) => line.includes("doomed#0: killed"));
      expect(lines.slice(killed + 1).filter((line) => line.includes("doomed#0"))).toEqual([]);
      const [paused, thawed] = ["paused", "thawed"].map((what) =>
        lines.findIndex((line) => line.endsWith(`server#0: ${what}`)),
      );
      const between = lines.slice((paused ?? 0) + 1, thawed);
      expect(between.length).toBeGreaterThan(20);
      expect(between.filter((line) => line.includes("server#0:"))).toEqual([]);
    }
  });

  test("keeps the promises of the work queue: each key is tried again and backed off, one run at a time", async () => {
    for (const play of await plays) {
      const tries = said(play, "queue").map((line) => /says (\w) tried (\d)/.exec(line)?.slice(1).join(""));
      expect(tries.toSorted()).toEqual(
        ["a", "b", "c", "d"].flatMap((key) => [1, 2, 3, 4, 5].map((tried) => `${key}${tried}`)),
      );
    }
  });

  test("keeps the promise of the request limit: a burst of 5, then 20 a second", async () => {
    for (const play of await plays) {
      const begins = said(play, "limited").map((line) => Number(/begins at ([\d.]+)/.exec(line)?.[1]));
      expect(begins).toHaveLength(30);
      for (const [index, at] of begins.entries()) expect(at).toBeGreaterThanOrEqual(Math.max(0, (index - 4) * 50));
    }
  });

  test("keeps the promise of the log: every record acknowledged to a writer has a number of its own", async () => {
    for (const play of await plays) {
      const numbers = said(play, "writer").map((line) => Number(/says wrote (\d+)/.exec(line)?.[1]));
      expect(numbers.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 30 }, (_, index) => index + 2));
      expect(play.records).toBe(31);
    }
  });
});
