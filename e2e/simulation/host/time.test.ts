import { AsyncLocalStorage } from "node:async_hooks";
import timers from "node:timers";
import { setTimeout as pause, setImmediate as turn } from "node:timers/promises";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";
import { installHost } from "./install.ts";
import { Stage } from "./test/stage.ts";

const real = { now: Date.now, Date };
installHost();

describe("the clocks of a process", () => {
  test("show virtual time: the wall's with the process's skew, the monotonic one since it was made", async () => {
    const stage = new Stage({ epochMs: Date.UTC(2030, 0, 1) });
    await stage.play(1_000);
    const shown = await stage.playOne(
      async (process) => {
        await pause(2_500);
        const before = [Date.now(), new Date().toISOString(), performance.now(), globalThis.process.uptime()];
        process.skewMs = -3_600_000;
        return [...before, new Date().toISOString(), performance.now(), globalThis.process.hrtime.bigint()];
      },
      { skewMs: 500 },
    );
    const at = Date.UTC(2030, 0, 1) + 2_500 + 500;
    expect(shown).toEqual([
      at,
      "2030-01-01T00:00:03.000Z",
      2_500,
      2.5,
      "2029-12-31T23:00:02.500Z",
      2_500,
      2_500_000_000n,
    ]);
  });

  test("leave all else of dates as it is", async () => {
    const made = await new Stage().playOne(async () => {
      const given = new Date(2020, 1, 2);
      return {
        given,
        isOne: given instanceof Date,
        isReal: given instanceof real.Date,
        parsed: Date.parse("1970-01-02"),
        utc: Date.UTC(1970, 0, 3),
      };
    });
    expect(made).toEqual({
      given: new real.Date(2020, 1, 2),
      isOne: true,
      isReal: true,
      parsed: 86_400_000,
      utc: 172_800_000,
    });
  });

  test("are the real ones outside of a process", () => {
    expect(Math.abs(Date.now() - real.now())).toBeLessThan(60_000);
    expect(new Date().toISOString().slice(0, 4)).toBe(new real.Date().toISOString().slice(0, 4));
  });
});

describe("the timers of a process", () => {
  /** Plays a program that notes what happens, and gives the notes with their instants. */
  async function notesOf(main: (note: (what: string) => void) => Promise<void>): Promise<string[]> {
    const stage = new Stage();
    const notes: string[] = [];
    await stage.playOne(() => main((what) => notes.push(`${what} ${stage.scheduler.now}`)));
    return notes;
  }

  type Notes = [what: string, main: (note: (what: string) => void) => Promise<void>, notes: string[]];
  const rows: Notes[] = [
    [
      "fire once, with their arguments, never before the delay is over",
      async (note) => {
        setTimeout(note, 10.2, "once");
        timers.setTimeout(note, 3, "of the module");
        await pause(50);
      },
      ["of the module 3", "once 11"],
    ],
    [
      "take at least a millisecond, and one where the delay is none",
      async (note) => {
        for (const delay of [0, -5, Number.NaN, 2 ** 31]) setTimeout(note, delay, String(delay));
        await pause(50);
      },
      ["0 1", "-5 1", "NaN 1", "2147483648 1"],
    ],
    [
      "do not fire once cleared",
      async (note) => {
        const cleared = [setTimeout(note, 10, "cleared"), setInterval(note, 10, "cleared")];
        for (const timer of cleared) clearTimeout(timer);
        clearImmediate(setImmediate(note, "cleared"));
        clearTimeout(undefined);
        await pause(50);
      },
      [],
    ],
    [
      "repeat until cleared, also by themselves",
      async (note) => {
        const timer = setInterval(() => {
          note("tick");
          if (performance.now() >= 30) clearInterval(timer);
        }, 10);
        await pause(100);
      },
      ["tick 10", "tick 20", "tick 30"],
    ],
    [
      "begin anew when refreshed, also after they have fired",
      async (note) => {
        const timer = setTimeout(note, 10, "fires");
        await pause(5);
        timer.refresh();
        await pause(20);
        timer.refresh();
        await pause(20);
      },
      ["fires 15", "fires 35"],
    ],
    [
      "come after all ticks and microtasks where they are immediate",
      async (note) => {
        setImmediate(note, "immediate");
        queueMicrotask(() => note("microtask"));
        process.nextTick(note, "tick");
        await turn();
        note("after a turn");
      },
      ["tick 0", "microtask 0", "immediate 0", "after a turn 0"],
    ],
    [
      "are promised by `timers/promises` and `promisify`, with their value",
      async (note) => {
        note(await pause(5, "value"));
        note(await promisify(setTimeout)(5, "promisified"));
      },
      ["value 5", "promisified 10"],
    ],
    [
      "reject when their signal is aborted, as Node's do",
      async (note) => {
        const cause = new Error("why");
        const aborted = { name: "AbortError", code: "ABORT_ERR", message: "The operation was aborted", cause };
        const controller = new AbortController();
        setTimeout(() => controller.abort(cause), 7);
        await expect(pause(20, undefined, { signal: controller.signal })).rejects.toMatchObject(aborted);
        note("on the way");
        await expect(pause(20, undefined, { signal: controller.signal })).rejects.toMatchObject(aborted);
        note("before");
      },
      ["on the way 7", "before 7"],
    ],
    [
      "abort signals by themselves, combined ones too",
      async (note) => {
        const signal = AbortSignal.any([AbortSignal.timeout(12), new AbortController().signal]);
        await new Promise((resolve) => signal.addEventListener("abort", resolve));
        note(`${signal.reason.name}: ${signal.reason.message}`);
      },
      ["TimeoutError: The operation was aborted due to timeout 12"],
    ],
  ];
  test.each(rows)("%s", async (_, main, notes) => expect(await notesOf(main)).toEqual(notes));

  test("count as something to wait for unless they are unref'd", async () => {
    const stage = new Stage();
    const left: unknown[] = [];
    await stage.playOne(async () => {
      const before = stage.scheduler.workLeft;
      const timer = setTimeout(() => {}, 10);
      left.push(stage.scheduler.workLeft - before, timer.hasRef());
      timer.unref();
      left.push(stage.scheduler.workLeft - before, timer.hasRef());
      timer.ref();
      left.push(stage.scheduler.workLeft - before);
      AbortSignal.timeout(1_000);
      left.push(stage.scheduler.workLeft - before);
    });
    expect(left).toEqual([1, true, 0, false, 1, 1]);
  });

  test("run in the asynchronous context in which they were set", async () => {
    const storage = new AsyncLocalStorage<string>();
    const seen = await new Stage().playOne(async () => {
      const inTimer = storage.run(
        "timer",
        () => new Promise((resolve) => setTimeout(() => resolve(storage.getStore()), 1)),
      );
      const afterPause = storage.run("pause", async () => {
        await pause(1);
        return storage.getStore();
      });
      return [await inTimer, await afterPause, storage.getStore()];
    });
    expect(seen).toEqual(["timer", "pause", undefined]);
  });
});
