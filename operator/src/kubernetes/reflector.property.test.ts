import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type Asked, bookmarkOf, FlakyServer, lineOf, type Stream, thing, things } from "../../test/flaky-server.ts";
import { readyFaults } from "../serve/health.ts";
import { ObjectCache } from "./cache.ts";
import type { KubeObject } from "./kube-object.ts";
import { Reflector } from "./reflector.ts";

/*
 * Whatever befalls the connection and the server, in any order: once it stops, the cache equals the server within a
 * minute; while lists are answered truly it is never behind for longer than a minute, and it says so; and no server
 * is ever stormed.
 */

type Act = (server: FlakyServer) => void;
const names = ["a", "b", "c"];
const eachOpen =
  (act: (stream: Stream) => void): Act =>
  (server) => {
    for (const stream of [...server.streams]) act(stream);
  };

const life: Readonly<Record<string, Act>> = {
  nothing: () => undefined,
  writeA: (server) => void server.write("a"),
  writeB: (server) => void server.write("b"),
  removeA: (server) => server.remove("a"),
  recreateB: (server) => {
    server.remove("b");
    server.write("b");
  },
};
const watchFaults: Readonly<Record<string, Act>> = {
  end: eachOpen((stream) => stream.end()),
  reset: eachOpen((stream) => stream.reset()),
  stall: eachOpen((stream) => stream.stall()),
  garble: eachOpen((stream) => stream.garble()),
  truncate: eachOpen((stream) => stream.truncate()),
  older: eachOpen((stream) => stream.say({ type: "MODIFIED", object: thing("c", "uid-x", 1) })),
  nobody: eachOpen((stream) => stream.say({ type: "MODIFIED", object: { metadata: { resourceVersion: "9999999" } } })),
  expired: eachOpen((stream) => stream.say({ type: "ERROR", object: { code: 410, reason: "Expired" } })),
  compact: (server) => server.compact(),
  quietEnds: (server) => {
    server.sendsBookmarks = !server.sendsBookmarks;
  },
  openingStalls: (server) => server.failWatches("Stall"),
  openingFails: (server) => server.failWatches("Error"),
  tooMany: (server) => server.failWatches("TooMany"),
};
const poison: Readonly<Record<string, Act>> = {
  bookmark: eachOpen((stream) => stream.say(bookmarkOf("7".repeat(20)))),
  event: eachOpen((stream) => stream.say({ type: "MODIFIED", object: thing("a", "uid-1", "7".repeat(20)) })),
};
const listFaults: Readonly<Record<string, Act>> = {
  down: (server) => {
    server.isDown = true;
  },
  up: (server) => server.heal(),
  listStalls: (server) => server.failLists("Stall"),
  listFails: (server) => server.failLists("Error"),
  listsTooMany: (server) => server.failLists("TooMany", "TooMany"),
  listIsNone: (server) => server.failLists("NoList"),
  listIsNothing: (server) => server.failLists("Nothing"),
  listIsOld: (server) => server.failLists("Old"),
  save: (server) => server.save(),
  restore: (server) => server.restore(),
  holdBack: (server) => {
    server.holdsWatchesBack = true;
  },
};

const steps = (acts: Readonly<Record<string, Act>>) =>
  fc.array(fc.record({ act: fc.constantFrom(...Object.keys(acts)), seconds: fc.constantFrom(0, 1, 1, 4, 15, 40) }), {
    minLength: 5,
    maxLength: 25,
  });

/** One reflector on one server, second by second. */
class Trial {
  readonly server = new FlakyServer();
  readonly errors = new Set<string>();
  readonly #cache = new ObjectCache<KubeObject>();
  readonly #stop = new AbortController();
  readonly reflector = new Reflector<KubeObject>({
    client: this.server,
    cache: this.#cache,
    resource: things,
    namespace: "n",
    trim: (object) => object,
    timing: { pageSize: 2 },
    onError: (error) => this.errors.add((error as Error).name),
  });
  #running: Promise<void> = Promise.resolve();
  #equalAt = performance.now();

  async begin(): Promise<void> {
    for (const name of names) this.server.write(name);
    this.#running = this.reflector.run(this.#stop.signal);
    await this.pass(1);
  }

  async pass(seconds: number, each: () => void = () => undefined): Promise<void> {
    for (let second = 0; second < seconds; second += 1) {
      await vi.advanceTimersByTimeAsync(1000);
      if (this.isEqual()) this.#equalAt = performance.now();
      each();
    }
  }

  isEqual(): boolean {
    return this.#cache.all().map(lineOf).sort().join() === this.server.state().join();
  }

  get differedMs(): number {
    return performance.now() - this.#equalAt;
  }

  get saidMs(): number {
    return performance.now() - this.reflector.completeAt;
  }

  get isReady(): boolean {
    return readyFaults({ watches: [this.reflector], now: performance.now() }).length === 0;
  }

  /** The most openings of a kind within any ten seconds. */
  mostWithinTenSeconds(what: Asked["what"]): number {
    const times = this.server.asked.filter((asked) => asked.what === what).map(({ at }) => at);
    return Math.max(...times.map((from) => times.filter((at) => at >= from && at < from + 10_000).length));
  }

  async end(): Promise<void> {
    this.#stop.abort(new Error("the trial is over"));
    await this.#running;
  }
}

describe("a reflector, whatever befalls it", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it("is never behind for longer than a minute while lists are answered", async () => {
    const acts = { ...life, ...watchFaults };
    const happened = new Set<string>();
    const plan = fc.record({
      steps: steps(acts),
      poison: fc.constantFrom("none", ...Object.keys(poison)),
      at: fc.nat({ max: 4 }),
    });
    await fc.assert(
      fc.asyncProperty(plan, async (planned) => {
        const trial = new Trial();
        await trial.begin();
        for (const [index, { act, seconds }] of planned.steps.entries()) {
          acts[act as keyof typeof acts]?.(trial.server);
          if (index === planned.at) poison[planned.poison]?.(trial.server);
          await trial.pass(seconds, () => {
            expect(trial.differedMs).toBeLessThanOrEqual(60_000);
            expect(trial.saidMs).toBeLessThanOrEqual(60_000);
          });
        }
        for (const name of trial.errors) happened.add(name);
        await trial.end();
      }),
      { numRuns: 100 },
    );
    expect([...happened].sort()).toEqual(
      [
        "ApiError",
        "Error",
        "NoAnswerError",
        "OverdueWatchError",
        "ReplacedHistoryError",
        "ShortWatchError",
        "StaleServerError",
        "TruncatedWatchError",
        "UnreadableWatchError",
      ].sort(),
    );
  });

  it("equals the server within a minute after all faults have stopped, is ready then, and never stormed it", async () => {
    const acts = { ...life, ...watchFaults, ...poison, ...listFaults };
    const seen = { blind: 0, replaced: 0 };
    await fc.assert(
      fc.asyncProperty(steps(acts), async (planned) => {
        const trial = new Trial();
        await trial.begin();
        for (const { act, seconds } of planned) {
          acts[act as keyof typeof acts]?.(trial.server);
          await trial.pass(seconds, () => {
            if (trial.saidMs > 60_000) seen.blind += 1;
            if (trial.saidMs > 60_000) expect(trial.isReady).toBe(false);
          });
        }
        trial.server.heal();
        await trial.pass(60);
        expect([trial.isEqual(), trial.isReady]).toEqual([true, true]);
        trial.server.write("after");
        await trial.pass(60);
        expect(trial.isEqual()).toBe(true);
        for (const what of ["List", "Watch", "Check"] as const) {
          expect(trial.mostWithinTenSeconds(what)).toBeLessThanOrEqual(10);
        }
        if (trial.errors.has("ReplacedHistoryError")) seen.replaced += 1;
        await trial.end();
      }),
      { numRuns: 150 },
    );
    expect([seen.blind > 0, seen.replaced > 0]).toEqual([true, true]);
  });
});
