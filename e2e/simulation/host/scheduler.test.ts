import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { actingProcess, type Ending, SimProcess } from "./process.ts";
import { Scheduler } from "./scheduler.ts";
import { Stage } from "./test/stage.ts";

describe("the order of events", () => {
  test("is that of their instants, whatever order they were made in and whichever were taken back", async () => {
    const event = fc.record({ delayMs: fc.nat(20), isCancelled: fc.boolean() });
    await fc.assert(
      fc.asyncProperty(fc.array(event, { maxLength: 60 }), async (events) => {
        const scheduler = new Scheduler({ seed: 1 });
        const happened: number[] = [];
        const made = events.map(({ delayMs }) =>
          scheduler.after(scheduler.world, delayMs, () => happened.push(scheduler.now)),
        );
        for (const [index, { isCancelled }] of events.entries()) {
          const one = made[index];
          if (isCancelled && one !== undefined) scheduler.cancel(one);
        }
        while (await scheduler.step());
        const expected = events.filter(({ isCancelled }) => !isCancelled).map(({ delayMs }) => delayMs);
        expect(happened).toEqual(expected.toSorted((a, b) => a - b));
        expect(scheduler.workLeft).toBe(0);
      }),
      { numRuns: 60 },
    );
  });

  /** Which of two processes comes first at one instant, and in which order its two events come. */
  async function orderWith(seed: number, kind: "work" | "timer"): Promise<string> {
    const scheduler = new Scheduler({ seed });
    const order: string[] = [];
    for (const name of ["a", "b"]) {
      const process = new SimProcess(scheduler, { name });
      for (const ordinal of [1, 2]) scheduler.after(process, 5, () => order.push(`${name}${ordinal}`), kind);
    }
    while (await scheduler.step());
    return order.join(" ");
  }
  const seeds = Array.from({ length: 60 }, (_, seed) => seed);

  test("is drawn by the seed where instants are equal", async () => {
    const orders = new Set(await Promise.all(seeds.map((seed) => orderWith(seed, "work"))));
    expect(orders.size).toBeGreaterThan(15);
    expect(await orderWith(7, "work")).toBe(await orderWith(7, "work"));
  });

  test("is kept among the timers of one process, as Node does, and drawn between two", async () => {
    const orders = new Set(await Promise.all(seeds.map((seed) => orderWith(seed, "timer"))));
    expect(orders).toEqual(new Set(["a1 a2 b1 b2", "b1 b2 a1 a2"]));
  });
});

describe("time", () => {
  test("never advances while code can run", async () => {
    const stage = new Stage();
    const seen: number[] = [];
    stage.start("busy", async (process) => {
      await process.later(10);
      for (let turn = 0; turn < 2_000; turn += 1) {
        await new Promise<void>((resolve) =>
          turn % 2 === 0 ? queueMicrotask(resolve) : globalThis.process.nextTick(resolve),
        );
        seen.push(stage.scheduler.now);
      }
    });
    stage.start("other", (process) => process.later(10.001));
    await stage.play();
    expect(new Set(seen)).toEqual(new Set([10]));
    expect(seen).toHaveLength(2_000);
    expect(stage.scheduler.now).toBe(10.001);
  });

  test("stops at the instant asked for, and where the condition holds", async () => {
    const { scheduler } = new Stage();
    const happened: number[] = [];
    for (const delay of [30, 40]) scheduler.after(scheduler.world, delay, () => happened.push(delay));
    scheduler.after(scheduler.world, 50, () => happened.push(50), "background");
    const isQuiet = () => scheduler.workLeft === 0;
    expect([await scheduler.stepUntil(isQuiet, { untilMs: 35 }), scheduler.now, happened]).toEqual([false, 35, [30]]);
    expect([await scheduler.stepUntil(isQuiet, { untilMs: 99 }), scheduler.now]).toEqual([true, 40]);
    expect([await scheduler.stepUntil(() => false, { untilMs: 99 }), happened]).toEqual([false, [30, 40, 50]]);
  });

  test("cannot be asked for in the past", () => {
    const scheduler = new Scheduler({ seed: 1 });
    expect(() => scheduler.after(scheduler.world, -1, () => {})).toThrow(
      "Cannot schedule an event because its delay is no time to come: -1 ms",
    );
  });
});

describe("a process", () => {
  test("that is killed in the middle of a wait never goes on, and says so once to who asked", async () => {
    const stage = new Stage();
    const steps: string[] = [];
    const endings: Ending[] = [];
    const process = stage.start("doomed", async () => {
      try {
        steps.push("begins");
        await process.later(10);
        steps.push("goes on");
      } finally {
        steps.push("cleans up");
      }
    });
    process.atEnd((ending) => endings.push(ending));
    stage.at(5, () => {
      process.kill("out of memory");
      process.kill("again");
    });
    await stage.play();
    process.atEnd((ending) => endings.push(ending));
    expect(steps).toEqual(["begins"]);
    expect(endings).toEqual([
      { kind: "killed", why: "out of memory" },
      { kind: "killed", why: "out of memory" },
    ]);
    expect([process.state, stage.scheduler.workLeft, stage.scheduler.now]).toEqual(["dead", 0, 5]);
  });

  test("that kills itself gets no answer any more", async () => {
    const stage = new Stage();
    const steps: string[] = [];
    const process = stage.start("doomed", async () => {
      process.kill("at its own call");
      steps.push("the call's own line ends");
      await process.later(1);
      steps.push("goes on");
    });
    await stage.play();
    expect(steps).toEqual(["the call's own line ends"]);
  });

  test.each<[how: string, main: () => Promise<unknown>, ending: Ending]>([
    ["returns", async () => 7, { kind: "returned", value: 7 }],
    ["throws", () => Promise.reject(new RangeError("no")), { kind: "threw", error: new RangeError("no") }],
  ])("ends when its program %s, with all that it left running", async (_, main, ending) => {
    const stage = new Stage();
    const endings: Ending[] = [];
    const process = stage.start("one", async () => {
      void process.later(1_000).then(() => endings.push({ kind: "returned", value: "too late" }));
      await process.later(1);
      return main();
    });
    process.atEnd((how) => endings.push(how));
    await stage.play();
    expect([endings, process.state, stage.scheduler.now]).toEqual([[ending], "dead", 1]);
  });

  test("that stands still finds what came meanwhile in its order, and later", async () => {
    const stage = new Stage();
    const happened: string[] = [];
    const note = (what: string) => happened.push(`${what} at ${stage.scheduler.now}`);
    const process = stage.start("frozen", async () => {
      for (const delay of [40, 20, 30, 100]) stage.scheduler.after(process, delay, () => note(`event ${delay}`));
      process.stop.addEventListener("abort", () => note("SIGTERM"));
      await process.later(110);
    });
    stage.at(10, () => process.pause());
    stage.at(25, () => process.terminate());
    stage.at(60, () => process.thaw());
    stage.at(70, () => note("the world's"));
    await stage.play();
    expect(happened).toEqual([
      "event 20 at 60",
      "SIGTERM at 60",
      "event 30 at 60",
      "event 40 at 60",
      "the world's at 70",
      "event 100 at 100",
    ]);
  });

  test("that is killed while it stands still leaves nothing to do", async () => {
    const stage = new Stage();
    const process = stage.start("frozen", () => process.later(20));
    stage.at(10, () => process.pause());
    stage.at(30, () => process.kill("node gone"));
    await stage.play();
    expect([process.state, stage.scheduler.workLeft]).toEqual(["dead", 0]);
  });

  test("with a name that was used before is another one, with draws of its own", () => {
    const scheduler = new Scheduler({ seed: 1 });
    const [first, second] = [
      new SimProcess(scheduler, { name: "agent" }),
      new SimProcess(scheduler, { name: "agent" }),
    ];
    expect([first.key, second.key]).toEqual(["agent#0", "agent#1"]);
    expect(first.row("randomUUID").uuid()).not.toBe(second.row("randomUUID").uuid());
  });
});

describe("a play is spoilt", () => {
  test("by an error that leaves an event", async () => {
    const stage = new Stage();
    stage.at(3, () => {
      throw new Error("a model's mistake");
    });
    await expect(stage.play()).rejects.toThrow(
      "Cannot go on because world#0 threw out of an event: Error: a model's mistake",
    );
  });

  test("by code that acts when it is another's turn: what reached it came around the scheduler", async () => {
    const stage = new Stage();
    let settle = () => {};
    stage.start("waits", async () => {
      await new Promise<void>((resolve) => {
        settle = resolve;
      });
      actingProcess();
    });
    stage.at(1, () => settle());
    await expect(stage.play()).rejects.toThrow(
      "Cannot let waits#0 act because it is world#0's turn: something reached it without an event",
    );
  });

  test.each<[what: string, spin: (process: SimProcess) => Promise<void>]>([
    [
      "calls",
      async () => {
        for (;;) {
          if (actingProcess()?.state === "dead") return;
          await Promise.resolve();
        }
      },
    ],
    [
      "events",
      async (process) => {
        for (;;) await process.later(0);
      },
    ],
  ])("by %s that never let time go on", async (_, spin) => {
    const stage = new Stage();
    stage.start("spins", spin);
    await expect(stage.play()).rejects.toThrow(
      "Cannot go on because time stands still: 200000 calls at 0 ms, now by spins#0",
    );
  });
});

describe("the noise of a seed", () => {
  test.each<[share: number, delayed: (count: number) => boolean]>([
    [0, (count) => count === 0],
    [0.3, (count) => count > 15 && count < 50],
    [1, (count) => count === 100],
  ])("puts a pause before a share of %d of the calls", async (share, isExpected) => {
    const stage = new Stage({ noise: { share, longestMs: 10 } });
    let delayed = 0;
    stage.start("one", async (process) => {
      for (let call = 0; call < 100; call += 1) {
        const before = stage.scheduler.now;
        await process.hesitate("read");
        if (stage.scheduler.now > before) delayed += 1;
      }
    });
    await stage.play();
    expect(delayed).toSatisfy(isExpected);
    expect(stage.scheduler.now).toBeLessThanOrEqual(10 * delayed);
  });
});
