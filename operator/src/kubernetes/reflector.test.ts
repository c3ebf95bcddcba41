import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type Asked, bookmarkOf, FlakyServer, lineOf, thing, things } from "../../test/flaky-server.ts";
import { readyFaults } from "../serve/health.ts";
import { ObjectCache } from "./cache.ts";
import type { KubeObject } from "./kube-object.ts";
import { Reflector, type ReflectorOptions } from "./reflector.ts";

describe("a reflector, in virtual time", () => {
  let server: FlakyServer;
  let cache: ObjectCache<KubeObject>;
  let reflector: Reflector<KubeObject>;
  let errors: string[];
  let beganAt: number;
  let stop: AbortController;
  let running: Promise<void>;

  beforeEach(() => {
    vi.useFakeTimers();
    server = new FlakyServer();
    cache = new ObjectCache();
    errors = [];
    stop = new AbortController();
    running = Promise.resolve();
  });
  afterEach(async () => {
    stop.abort(new Error("the test is over"));
    await running;
    vi.restoreAllMocks();
    vi.useRealTimers();
  });

  async function start(over: Partial<ReflectorOptions<KubeObject>> = {}): Promise<void> {
    reflector = new Reflector<KubeObject>({
      client: server,
      cache,
      resource: things,
      namespace: "n",
      trim: (object) => object,
      onError: (error) => errors.push(error instanceof Error ? error.name : String(error)),
      ...over,
    });
    beganAt = performance.now();
    running = reflector.run(stop.signal);
    await seconds(0);
  }

  async function seconds(count: number): Promise<void> {
    await vi.advanceTimersByTimeAsync(count * 1000);
  }

  const cached = () => cache.all().map(lineOf).sort();
  const count = (what: Asked["what"]) => server.asked.filter((asked) => asked.what === what).length;
  const tellings = () => {
    const told: string[] = [];
    cache.listen(({ kind, object }) => told.push(`${kind} ${object.metadata.name}`));
    return told;
  };
  const isReady = () => readyFaults({ watches: [reflector], now: performance.now() }).length === 0;
  const blindForMs = () => performance.now() - reflector.completeAt;
  const stream = () => {
    const [open] = server.streams;
    if (open === undefined) throw new Error("no watch is open");
    return open;
  };

  /** The longest that the cache differed from the server, and that the reflector said it may have. */
  async function worstOf(total: number, each: (second: number) => void = () => undefined) {
    const worst = { differedMs: 0, saidMs: 0 };
    let equalAt = performance.now();
    for (let second = 0; second < total; second += 1) {
      each(second);
      await seconds(1);
      if (cached().join() === server.state().join()) equalAt = performance.now();
      worst.differedMs = Math.max(worst.differedMs, performance.now() - equalAt);
      worst.saidMs = Math.max(worst.saidMs, blindForMs());
    }
    return worst;
  }

  it("lists once and then lives on watches, whose agreed ends are proof enough", async () => {
    server.write("a");
    await start();
    for (let minute = 0; minute < 10; minute += 1) {
      await seconds(30);
      server.write("b");
      await seconds(30);
      expect([isReady(), cached()]).toEqual([true, server.state()]);
    }
    expect([errors, count("List")]).toEqual([[], 1]);
    expect(count("Watch")).toBeLessThanOrEqual(600 / 25 + 1);
  });

  it("asks a quiet server at the end of each watch whether it is still past the version, and for one object only", async () => {
    await start();
    const worst = await worstOf(600);
    expect([errors, count("List")]).toEqual([[], 1]);
    expect(count("Check")).toBe(count("Watch") - 1);
    expect(worst.saidMs).toBeLessThanOrEqual(42_000);
  });

  it("repeats by itself: the client is to try each page once", async () => {
    server.failLists("Error", "Stall", "TooMany");
    await start();
    await seconds(60);
    expect(server.asked.filter(({ what }) => what === "List").map(({ tries }) => tries)).toEqual([1, 1, 1, 1]);
    expect(errors).toEqual(["ApiError", "NoAnswerError", "ApiError"]);
  });

  it("notices a stalled watch when its end is overdue, and is never blind for a minute", async () => {
    await start();
    server.streams.values().next().value?.stall();
    server.write("unheard");
    const worst = await worstOf(50);
    expect(errors).toEqual(["OverdueWatchError"]);
    expect([cached(), worst.differedMs < 50_000]).toEqual([server.state(), true]);
  });

  it("watches the same version again after a reset, and misses nothing", async () => {
    await start();
    server.write("a");
    stream().reset();
    server.write("b");
    await seconds(3);
    expect([cached(), count("List"), count("Watch")]).toEqual([server.state(), 1, 2]);
  });

  it("needs no list for a server that speaks but does not end its watches", async () => {
    server.endsWatches = false;
    await start();
    const worst = await worstOf(300, () => void server.write("a"));
    expect([worst.differedMs, count("List")]).toEqual([0, 1]);
    expect(new Set(errors)).toEqual(new Set(["OverdueWatchError"]));
  });

  it("watches for a shorter time after a list that took long", async () => {
    server.slowMs = 9_500;
    server.holdsWatchesBack = true;
    server.failLists(...Array.from({ length: 100 }, () => "Slow" as const));
    await start();
    const worst = await worstOf(600);
    expect([errors.includes("NoAnswerError"), worst.saidMs < 60_000]).toEqual([false, true]);
  });

  it("has seen by a list only what was written before the list was asked for", async () => {
    server.failLists("Slow");
    await start();
    await seconds(1);
    const writtenAt = performance.now();
    await seconds(2);
    expect([reflector.hasSynced, reflector.hasSeen("7".repeat(30), writtenAt)]).toEqual([true, false]);
    expect(blindForMs()).toBe(3_000);
  });

  it("stays away for as long as it is asked to", async () => {
    server.failLists("TooMany");
    await start();
    await seconds(4.9);
    expect(count("List")).toBe(1);
    await seconds(0.2);
    expect(count("List")).toBe(2);
  });

  it("lives on lists where something on the way holds every watch back", async () => {
    server.holdsWatchesBack = true;
    await start();
    const worst = await worstOf(600, (second) => void (second % 7 === 0 && server.write("a")));
    expect(worst.saidMs).toBeLessThan(60_000);
    expect(worst.differedMs).toBeLessThan(60_000);
    expect(count("List")).toBeLessThan(600 / 30);
  });

  it("is not ready while it is blind, and is again when it sees", async () => {
    await start();
    server.isDown = true;
    stream().reset();
    await seconds(4);
    expect(isReady()).toBe(true);
    await seconds(2);
    expect(isReady()).toBe(false);
    await seconds(300);
    expect([isReady(), blindForMs() > 300_000]).toEqual([false, true]);
    server.heal();
    server.write("a");
    await seconds(16);
    expect([isReady(), cached()]).toEqual([true, server.state()]);
  });

  const setBack: readonly [name: string, act: () => Promise<void>][] = [
    ["was restored from a backup", async () => server.restore()],
    [
      "was restored, and has taken no note of the watch that was open",
      async () => {
        stream().stall();
        server.restore();
      },
    ],
    [
      "was restored to a state that it goes on from without a word",
      async () => {
        server.restore();
        server.remove("b");
      },
    ],
    ["has sent a bookmark of a version that never was", async () => stream().say(bookmarkOf("7".repeat(30)))],
    [
      "has sent an event of a version that never was",
      async () => stream().say({ type: "MODIFIED", object: thing("a", "uid-1", "7".repeat(30)) }),
    ],
  ];
  it.each(setBack)("heals by itself, within a minute, where the server %s", async (_, act) => {
    server.write("a");
    server.save();
    server.write("b");
    await start();
    const lost = server.write("lost");
    const writtenAt = performance.now();
    await seconds(20);
    await act();
    const worst = await worstOf(200, (second) => void (second > 120 && server.write("c")));
    expect(worst.differedMs).toBeLessThanOrEqual(60_000);
    expect([cached(), isReady()]).toEqual([server.state(), true]);
    expect(errors).toContain("ReplacedHistoryError");
    // Nobody waits for a version that will never come.
    expect(reflector.hasSeen(lost.metadata.resourceVersion, writtenAt)).toBe(true);
  });

  it("tells everything anew after another history, in which an equal version may stand for something else", async () => {
    server.write("a");
    server.save();
    server.write("b");
    await start();
    const told = tellings();
    server.restore();
    await seconds(60);
    expect(told).toEqual(["Deleted b", "Updated a"]);
  });

  it("is as patient with a server that was set back after a long time away as after a short one", async () => {
    vi.spyOn(Math, "random").mockReturnValue(0.99);
    server.save();
    server.write("a");
    await start();
    server.isDown = true;
    server.restore();
    await seconds(300);
    server.heal();
    for (let waited = 0; waited < 30 && !errors.includes("StaleServerError"); waited += 1) await seconds(1);
    await seconds(12);
    expect([errors.at(-1), cached()]).toEqual(["ReplacedHistoryError", server.state()]);
  });

  it("lists where a server was away, which may have come back with another history of the same length", async () => {
    server.save();
    for (const name of ["a", "b", "c"]) server.write(name);
    await start();
    server.awayMs = 2_000;
    server.restore();
    for (const name of ["d", "d", "d", "d"]) server.write(name);
    await seconds(7);
    expect(cached()).toEqual(server.state());
  });

  it("waits for a server that only lags, and takes nothing old from it", async () => {
    server.write("a");
    server.save();
    server.write("b");
    await start();
    const told = tellings();
    server.failLists("Old", "Old");
    stream().garble();
    await seconds(9);
    expect([errors, told]).toEqual([["UnreadableWatchError", "StaleServerError", "StaleServerError"], []]);
    expect([cached(), reflector.lostAt]).toEqual([server.state(), undefined]);
  });

  it("takes nothing for a list that is none", async () => {
    server.write("a");
    server.failLists("Nothing", "NoList", "Nothing");
    await start();
    expect([reflector.hasSynced, count("Watch")]).toEqual([false, 0]);
    await seconds(10);
    expect([reflector.hasSynced, cached()]).toEqual([true, server.state()]);
    expect(errors).toEqual(["UnreadableListError", "UnreadableListError", "UnreadableListError"]);
  });

  it("does not storm a server whose watches never have the version of its lists", async () => {
    await start();
    await worstOf(300, () => {
      server.write("a");
      server.compact();
      for (const open of server.streams) open.say({ type: "ERROR", object: { code: 410, reason: "Expired" } });
    });
    expect(count("List")).toBeLessThan(40);
    expect(count("Watch")).toBeLessThan(40);
  });

  it("does not storm a server that ends every watch after one event", async () => {
    await start();
    const act = () => {
      server.write("a");
      for (const open of server.streams) open.end();
    };
    for (let turn = 0; turn < 300; turn += 1) {
      act();
      await seconds(0.1);
    }
    expect(count("Watch")).toBeLessThan(10);
    expect(errors.every((name) => name === "ShortWatchError")).toBe(true);
  });

  it("takes in a change over which a listener throws, tells the others, and goes on", async () => {
    await start();
    const heard: string[] = [];
    cache.listen(() => {
      throw new Error("a defect");
    });
    cache.listen(({ object }) => heard.push(object.metadata.name));
    server.write("a");
    server.write("b");
    await seconds(1);
    expect([heard, cached(), count("List"), count("Watch")]).toEqual([["a", "b"], server.state(), 1, 1]);
    expect(errors).toEqual(["BrokenListenerError", "BrokenListenerError"]);
  });

  it("does not end because the one who is told of its errors throws", async () => {
    await start({
      onError: () => {
        throw new Error("a defect");
      },
    });
    stream().reset();
    server.write("a");
    await seconds(5);
    expect(cached()).toEqual(server.state());
  });

  describe("that is asked for a fresh list", () => {
    const noOne = new AbortController().signal;

    it("shows what was written before, whatever its watch does", async () => {
      await start();
      stream().stall();
      const written = server.write("a");
      const writtenAt = performance.now();
      await seconds(5);
      expect([cached(), reflector.hasSeen(written.metadata.resourceVersion, writtenAt)]).toEqual([[], false]);
      await reflector.refresh(noOne);
      expect([cached(), reflector.hasSeen("7".repeat(30), writtenAt)]).toEqual([server.state(), true]);
      expect(errors).toEqual([]);
    });

    it("begins it after it was asked, even where one is under way", async () => {
      server.failLists("Slow", "Slow");
      await start();
      server.write("a");
      const fresh = reflector.refresh(noOne).then(() => performance.now());
      await seconds(10);
      expect([await fresh, cached()]).toEqual([6_000 + beganAt, server.state()]);
      const lists = count("List");
      const first = reflector.refresh(noOne);
      await seconds(1);
      await first;
      expect(count("List")).toBe(lists + 1);
      // Asked in the very moment in which a list has become whole.
      const again = reflector.refresh(noOne).then(() => reflector.refresh(noOne));
      await seconds(2);
      await again;
      expect(count("List")).toBe(lists + 3);
      expect(reflector.state).toBe("Watching");
    });

    it("does not wait out its patience, but never asks more than once a second", async () => {
      await start();
      server.isDown = true;
      stream().reset();
      await seconds(60);
      server.heal();
      const fresh = reflector.refresh(noOne);
      await seconds(1);
      await fresh;
      const lists = count("List");
      for (let turn = 0; turn < 50; turn += 1) {
        void reflector.refresh(noOne).catch(() => undefined);
        await seconds(0.1);
      }
      expect(count("List") - lists).toBeLessThanOrEqual(6);
    });

    it("lets go of those who leave, and of all when it ends", async () => {
      await start();
      server.isDown = true;
      const leaving = new AbortController();
      const left = reflector.refresh(leaving.signal);
      leaving.abort(new Error("left"));
      await expect(left).rejects.toThrow("left");
      const kept = expect(reflector.refresh(noOne)).rejects.toThrow("the end");
      stop.abort(new Error("the end"));
      await kept;
    });
  });
});
