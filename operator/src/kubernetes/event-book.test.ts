import fc from "fast-check";
import { beforeEach, describe, expect, it } from "vitest";
import { type Dropped, EventBook, type EventOutcome, type EventWrite } from "./event-book.ts";
import type { Told } from "./event-manifest.ts";

const about = (uid: string, note: string, reason = "AttemptEnded"): Told => ({
  regarding: { apiVersion: "v1", kind: "TrainingRun", namespace: "team", name: uid, uid, resourceVersion: "1" },
  type: "Normal",
  reason,
  action: "Decided",
  note,
});
const second = 1_000;
const minute = 60 * second;

describe("what should stand in events", () => {
  let book: EventBook;
  let now: number;
  beforeEach(() => {
    book = new EventBook("pod-1");
    now = 0;
  });

  const instant = () => ({ monotonicMs: now, wallMs: now });
  const tell = (note: string, uid = "a", reason?: string) => book.tell(about(uid, note, reason), instant());
  const inWords = ({ kind, told, counted }: EventWrite) => `${kind} ${told.note} x${counted.count}`;

  /** Does everything that is due now, and says what that was. */
  function writeAll(outcome: EventOutcome = "Done"): string[] {
    const done: string[] = [];
    for (let next = book.next(instant()); next.kind === "Write"; next = book.next(instant())) {
      done.push(inWords(next.write));
      book.settle(next.write, outcome, instant());
    }
    return done;
  }

  function take(): EventWrite {
    const next = book.next(instant());
    if (next.kind === "Wait") throw new Error("Cannot take a write because none is due");
    return next.write;
  }

  const due = () => book.next(instant());

  it("are created in the order in which they were told, each with its own words", () => {
    for (const note of ["one", "two", "three"]) tell(note);
    expect(writeAll()).toEqual(["Create one x1", "Create two x1", "Create three x1"]);
    expect(due()).toEqual({ kind: "Wait" });
  });

  it("count what is told again: the first time at once, later ones twice a minute", () => {
    tell("again");
    expect(writeAll()).toEqual(["Create again x1"]);
    tell("again");
    expect(writeAll()).toEqual(["Count again x2"]);
    for (let repeat = 0; repeat < 5; repeat += 1) tell("again");
    expect([writeAll(), due()]).toEqual([[], { kind: "Wait", untilMs: 30 * second }]);
    now = 30 * second;
    expect(writeAll()).toEqual(["Count again x7"]);
  });

  it("begin as a series where there was no time to write the first", () => {
    tell("again");
    tell("again");
    expect(writeAll()).toEqual(["Create again x2"]);
  });

  it("count what is told while they are being written", () => {
    tell("again");
    const first = take();
    tell("again");
    expect(due()).toEqual({ kind: "Wait" });
    book.settle(first, "Done", instant());
    expect(writeAll()).toEqual(["Count again x2"]);
  });

  it("are closed after six quiet minutes with their last count, and then begin anew", () => {
    for (let repeat = 0; repeat < 2; repeat += 1) tell("again");
    writeAll();
    now = second;
    tell("again");
    now = 5 * minute;
    // Its allowance is used up meanwhile: the last count does not depend on it.
    for (let step = 0; step < 40; step += 1) tell(`step ${step}`, "a", "Other");
    writeAll();
    tell("again");
    expect(writeAll()).toEqual([]);
    now = 11 * minute;
    expect(writeAll()).toContain("Count again x4");
    tell("again");
    now = 60 * minute;
    expect(writeAll()).toEqual(["Create again x1"]);
  });

  it("go on although the last count of their forerunner is refused", () => {
    for (let repeat = 0; repeat < 2; repeat += 1) tell("again");
    writeAll();
    tell("again");
    now = 7 * minute;
    tell("again");
    book.settle(take(), "Done", instant());
    expect(book.settle(take(), "Refused", instant())).toMatchObject({ why: "Refused", times: 1 });
    tell("again");
    expect(writeAll()).toEqual(["Count again x2"]);
  });

  it("say when the last count is due, where nothing else is", () => {
    for (let repeat = 0; repeat < 2; repeat += 1) tell("again");
    writeAll();
    for (let step = 0; step < 24; step += 1) tell(`step ${step}`, "a", "Other");
    writeAll();
    tell("again");
    expect(due()).toEqual({ kind: "Wait", untilMs: 5 * minute });
  });

  it("are at most 25 at once of one object, and then one in five minutes, in the newest words of each reason", () => {
    for (let step = 1; step <= 30; step += 1) tell(`step ${step}`);
    tell("warned", "a", "Warned");
    tell("of another", "b");
    const first = writeAll();
    expect([first.length, first.at(-2), first.at(-1)]).toEqual([26, "Create step 25 x1", "Create of another x1"]);
    expect(due()).toEqual({ kind: "Wait", untilMs: 5 * minute });
    now = 5 * minute;
    tell("step 31");
    expect(writeAll()).toEqual(["Create (newest of 6 alike) step 31 x6"]);
    now = 10 * minute;
    expect(writeAll()).toEqual(["Create warned x1"]);
  });

  it("are made anew with their count where the server has forgotten them", () => {
    tell("again");
    writeAll();
    tell("again");
    const count = take();
    const { name } = count;
    expect(book.settle(count, "Gone", instant())).toBeUndefined();
    const anew = take();
    expect([inWords(anew), anew.name]).toEqual(["Create again x2", name]);
  });

  it("are made anew where that is found out only with their last count: what was counted meanwhile stands nowhere else", () => {
    tell("again");
    writeAll();
    tell("again");
    writeAll();
    tell("again");
    now = 6 * minute;
    const last = take();
    expect([inWords(last), book.settle(last, "Gone", instant())]).toEqual(["Count again x3", undefined]);
    expect(writeAll()).toEqual(["Create again x3"]);
    expect(due()).toEqual({ kind: "Wait" });
  });

  const ends: readonly [title: string, outcome: EventOutcome, dropped: Partial<Dropped>][] = [
    ["that the server refuses", "Refused", { why: "Refused", times: 2 }],
    ["that have no place any more", "Gone", { why: "Refused", times: 2 }],
  ];
  it.each(ends)("are dropped %s", (_, outcome, dropped) => {
    for (let repeat = 0; repeat < 2; repeat += 1) tell("lost");
    expect(book.settle(take(), outcome, instant())).toMatchObject(dropped);
    expect([due(), book.backlog]).toEqual([{ kind: "Wait" }, 0]);
  });

  it("are tried twelve times, behind the others, and then given up", () => {
    tell("poison");
    tell("good");
    const tried: string[] = [];
    let dropped: Dropped | undefined;
    for (let next = due(); next.kind === "Write"; next = due()) {
      const { note } = next.write.told;
      tried.push(note);
      dropped = book.settle(next.write, note === "poison" ? "Again" : "Done", instant()) ?? dropped;
    }
    expect(tried).toEqual(["poison", "good", ...Array.from({ length: 11 }, () => "poison")]);
    expect(dropped).toMatchObject({ why: "GivenUp", times: 1, told: { note: "poison" } });
  });

  it("are dropped where 1,024 wait already, unless their words wait among them", () => {
    for (let object = 0; object < 1_024; object += 1) expect(tell("told", `object ${object}`)).toBeUndefined();
    expect(tell("told", "one more")).toMatchObject({ why: "QueueFull", times: 1 });
    expect(tell("told", "object 3")).toBeUndefined();
    expect(book.backlog).toBe(1_024);
  });

  it("are remembered for 4,096 words, and forgotten for those told longest ago", () => {
    const tellAndWrite = (object: number) => {
      tell("told", `object ${object}`);
      return writeAll();
    };
    for (let object = 0; object < 4_096; object += 1) tellAndWrite(object);
    expect(tellAndWrite(0)).toEqual(["Count told x2"]);
    expect(tellAndWrite(4_096)).toEqual(["Create told x1"]);
    expect(tellAndWrite(1)).toEqual(["Create told x1"]);
    tell("told", "object 0");
    expect([writeAll(), due()]).toEqual([[], { kind: "Wait", untilMs: 30 * second }]);
  });

  it("are at the end written whole, whatever the allowance and the time say, or given up", () => {
    for (let step = 1; step <= 30; step += 1) tell(`step ${step}`);
    writeAll();
    tell("step 1");
    tell("late", "b");
    const last: string[] = [];
    for (let write = book.last(); write !== undefined; write = book.last()) {
      last.push(inWords(write));
      if (write.told.note !== "late") book.settle(write, "Done", instant());
    }
    expect(last).toEqual(["Create late x1", "Create (newest of 5 alike) step 30 x5", "Count step 1 x2"]);
    expect(book.abandon()).toMatchObject([{ why: "Stopping", told: { note: "late" }, times: 1 }]);
    expect(book.backlog).toBe(0);
  });

  it("hold every word told, stay within each object's allowance, and come to rest", () => {
    const step = fc.record({
      object: fc.integer({ min: 0, max: 2 }),
      note: fc.integer({ min: 0, max: 40 }),
      waitMs: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 8 * minute })),
      writes: fc.integer({ min: 0, max: 4 }),
      outcome: fc.constantFrom<EventOutcome>("Done", "Done", "Done", "Again", "Gone"),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        book = new EventBook("pod-1");
        now = 0;
        const counts = new Map<string, number>();
        const begun = new Map<string, { uid: string; at: number }>();
        let toldTimes = 0;
        let lostTimes = 0;
        const write = (outcome: EventOutcome): boolean => {
          const next = due();
          if (next.kind === "Wait") return false;
          const { kind, name, counted, told } = next.write;
          // An event cannot be gone before it was made.
          const real = outcome === "Gone" && kind === "Create" ? "Done" : outcome;
          if (!begun.has(name)) begun.set(name, { uid: told.regarding.uid, at: now });
          if (real === "Done") counts.set(name, counted.count);
          if (real === "Gone") counts.delete(name);
          lostTimes += book.settle(next.write, real, instant())?.times ?? 0;
          return true;
        };
        for (const { object, note, waitMs, writes: times, outcome } of steps) {
          now += waitMs;
          toldTimes += 1;
          expect(tell(`${note}`, `${object}`)).toBeUndefined();
          for (let done = 0; done < times && write(outcome); done += 1);
        }
        for (let rests = 0; ; rests += 1) {
          while (write("Done"));
          const next = due();
          if (next.kind === "Write") continue;
          if (next.untilMs === undefined) break;
          expect(next.untilMs).toBeGreaterThan(now);
          expect(rests).toBeLessThan(1_000);
          now = next.untilMs;
        }
        expect(book.backlog).toBe(0);
        for (const uid of ["0", "1", "2"]) {
          const times = [...begun.values()].filter((event) => event.uid === uid).map(({ at }) => at);
          times.forEach((at, index) => {
            const before = times[index - 25];
            if (before !== undefined) expect(at - before).toBeGreaterThanOrEqual(5 * minute);
          });
        }
        return [...counts.values()].reduce((sum, count) => sum + count, 0) + lostTimes === toldTimes;
      }),
    );
  });
});
