import { describe, expect, test } from "vitest";
import { allPassed, climb, summary } from "./climb.ts";
import type { Kind } from "./kinds.ts";
import type { Count } from "./tally.ts";

describe("the ladder", () => {
  test("adds up, and ends with the one line", async () => {
    const { lines, exitCode } = await climbed([rung("types", passing(1)), rung("unit", { ...passing(3), skipped: 2 })]);
    expect(lines.at(-1)).toBe("4 passed, 0 failed, 2 skipped");
    expect(exitCode).toBe(0);
  });

  test("goes on after a rung that broke, and counts it as failed", async () => {
    const broken = () => Promise.reject(new Error("Cannot run tsc: spawn tsc ENOENT"));
    const { lines, exitCode } = await climbed([
      { ...rung("types", passing(1)), run: broken },
      rung("unit", passing(3)),
    ]);
    expect(lines.at(-1)).toBe("3 passed, 1 failed, 0 skipped");
    expect(lines).toContain("  Cannot run tsc: spawn tsc ENOENT");
    expect(exitCode).toBe(1);
  });

  test("runs the kinds of one rung beside each other, and waits for all before the next", async () => {
    const met = new Barrier(2);
    const begun: string[] = [];
    const kind = (name: string, run: () => Promise<unknown>): Kind => ({
      ...rung(name, passing(1)),
      run: async () => {
        begun.push(name);
        await run();
        return passing(1);
      },
    });
    const beside = [kind("apiserver", () => met.arrive()), kind("store", () => met.arrive())];
    const { lines } = await climbed([beside, kind("cluster", async () => expect(met.arrived).toBe(2))]);
    expect(begun).toEqual(["apiserver", "store", "cluster"]);
    expect(lines.map((line) => line.split(",")[0])).toEqual([
      "apiserver: 1 ok",
      "store: 1 ok",
      "cluster: 1 ok",
      "3 passed",
    ]);
  });

  test("that is stopped fails the rung it was on, and counts those above as left out", async () => {
    const stop = new AbortController();
    const interrupted = async () => {
      stop.abort(new Error("stopped by SIGINT"));
      return passing(7);
    };
    const rungs = [
      rung("types", passing(1)),
      { ...rung("unit", passing(0)), run: interrupted },
      rung("cluster", passing(9)),
    ];
    const { lines, exitCode } = await climbed(rungs, stop.signal);
    expect(lines).toContain("  it was stopped by SIGINT");
    expect(lines).toContain("  not begun, because the tests were stopped by SIGINT");
    expect(lines.at(-1)).toBe("8 passed, 1 failed, 1 skipped");
    expect(exitCode).toBe(1);
  });

  test("that is stopped on its first rung does not pass", async () => {
    const { lines, exitCode } = await climbed(
      [rung("types", passing(1))],
      AbortSignal.abort(new Error("stopped by SIGTERM")),
    );
    expect(lines.at(-1)).toBe("0 passed, 0 failed, 1 skipped");
    expect(exitCode).toBe(1);
  });

  test("without a rung does not pass", async () => {
    expect((await climbed([])).exitCode).toBe(1);
  });
});

async function climbed(kinds: readonly (Kind | readonly Kind[])[], signal: AbortSignal = new AbortController().signal) {
  const rows = await climb(
    kinds.map((kind) => [kind].flat()),
    { signal, say: () => {} },
  );
  return { lines: summary(rows), exitCode: allPassed(rows, signal) ? 0 : 1 };
}

/** Lets nobody on before all have come. */
class Barrier {
  arrived = 0;
  readonly #all = Promise.withResolvers<void>();
  readonly #count: number;

  constructor(count: number) {
    this.#count = count;
  }

  arrive(): Promise<void> {
    this.arrived += 1;
    if (this.arrived === this.#count) this.#all.resolve();
    return this.#all.promise;
  }
}

function rung(name: string, count: Count): Kind {
  return { name, what: "a rung", usually: "1 s", run: async () => count };
}

function passing(passed: number): Count {
  return { passed, failed: 0, skipped: 0, notes: [] };
}
