import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { ApiError, NoAnswerError } from "./api-error.ts";
import type { Bound } from "./client.ts";
import type { Dropped } from "./event-book.ts";
import { EventRecorder, type EventRecorderOptions } from "./event-recorder.ts";
import { events, pods } from "./resource.ts";

type Sent = Readonly<{ kind: "Create" | "Count"; name: string; count: number; at: number; bound: Bound }>;

const attempted = { method: "POST", target: { resource: events } };
const answered = (status: number, reason = "", retryAfterMs?: number) =>
  new ApiError(attempted, { status, reason, detail: "", retryAfterMs });

describe("the event recorder", () => {
  let sent: Sent[];
  let dropped: string[];
  let answer: (nth: number, bound: Bound) => Promise<void>;
  let recorder: EventRecorder;
  let stop: AbortController;
  let running: Promise<void>;

  beforeEach(() => {
    vi.useFakeTimers();
    sent = [];
    dropped = [];
    answer = async () => undefined;
    stop = new AbortController();
    recorder = new EventRecorder({
      client: {
        create: (_, body, bound) => send("Create", body, bound),
        mergePatch: (_, body, bound) => send("Count", body, bound),
      },
      reporter: { controller: "trainingrun.dev/operator", instance: "pod-1" },
      onDropped: ({ why, told, times }: Dropped) => dropped.push(`${why} ${told.note} x${times}`),
      random: () => 1,
    } as EventRecorderOptions);
    running = recorder.run(stop.signal);
  });

  afterEach(async () => {
    stop.abort(new Error("the test is over"));
    await running;
    vi.useRealTimers();
  });

  async function send(kind: Sent["kind"], body: unknown, bound: Bound): Promise<unknown> {
    const { note = "", series } = body as { note?: string; series?: { count: number } };
    sent.push({ kind, name: note, count: series?.count ?? 1, at: Date.now(), bound });
    await answer(sent.length, bound);
    return {};
  }

  const tell = (note: string, uid = "u") =>
    recorder.tell({
      regarding: { metadata: { name: "mnist", namespace: "team", uid, resourceVersion: "1" } },
      resource: pods,
      type: "Normal",
      reason: "AttemptEnded",
      action: "Decided",
      note,
    });
  const inWords = () => sent.map(({ kind, name, count }) => `${kind} ${name} x${count}`);
  const pass = (waitMs: number) => vi.advanceTimersByTimeAsync(waitMs);
  const never = (signal: AbortSignal) =>
    new Promise<void>((_, reject) => signal.addEventListener("abort", () => reject(signal.reason), { once: true }));
  const dead = (_: number, { signal }: Bound) =>
    never(signal).catch((cause: unknown) => Promise.reject(new NoAnswerError(attempted, cause)));

  it("lets nobody wait: what is told stands later", async () => {
    tell("one");
    expect(sent).toEqual([]);
    await pass(0);
    expect(inWords()).toEqual(["Create one x1"]);
  });

  it("writes one at a time, once, and with an end to its patience", async () => {
    answer = dead;
    tell("one");
    tell("two");
    await pass(0);
    expect(sent.map(({ name, bound }) => [name, bound.tries, bound.timeoutMs])).toEqual([["one", 1, 10_000]]);
  });

  it("counts again when it is time, by itself", async () => {
    tell("again");
    await pass(0);
    tell("again");
    await pass(0);
    tell("again");
    tell("again");
    await pass(29_000);
    expect(inWords()).toEqual(["Create again x1", "Count  x2"]);
    await pass(1_000);
    expect(inWords()).toEqual(["Create again x1", "Count  x2", "Count  x4"]);
  });

  it("does nothing where nothing is told", async () => {
    await pass(24 * 60 * 60_000);
    expect(vi.getTimerCount()).toBeLessThanOrEqual(1);
    expect(sent).toEqual([]);
  });

  it("stays away from a server that does not answer, longer each time, and loses nothing meanwhile", async () => {
    const from = Date.now();
    answer = async (nth) => {
      if (nth <= 4) throw new NoAnswerError(attempted, new Error("reset"));
    };
    tell("one");
    await pass(60_000);
    expect(sent.map(({ at }) => at - from)).toEqual([0, 500, 1_500, 3_500, 7_500]);
    expect(dropped).toEqual([]);
  });

  it("stays away as long as the server asks, but no longer than half a minute", async () => {
    const from = Date.now();
    answer = async (nth) => {
      if (nth <= 2) throw answered(429, "TooManyRequests", nth === 1 ? 4_000 : 3_600_000);
    };
    tell("one");
    await pass(60_000);
    expect(sent.map(({ at }) => at - from)).toEqual([0, 4_000, 34_000]);
  });

  const answers: readonly [title: string, error: ApiError, dropped: string[], sends: number][] = [
    ["takes a name that is there already for its own lost answer", answered(409, "AlreadyExists"), [], 1],
    ["drops what is forbidden", answered(403, "Forbidden"), ["Refused one x1"], 1],
    ["drops what is invalid", answered(422, "Invalid"), ["Refused one x1"], 1],
    ["drops what has no namespace any more", answered(404, "NotFound"), ["Refused one x1"], 1],
    ["tries again what was not let in", answered(401, "Unauthorized"), [], 2],
    ["tries again what the server could not do", answered(500, "InternalError"), [], 2],
  ];
  it.each(answers)("%s", async (_, error, lost, sends) => {
    answer = async (nth) => {
      if (nth === 1) throw error;
    };
    tell("one");
    await pass(5_000);
    tell("two");
    await pass(5_000);
    expect([dropped, inWords().filter((line) => line.startsWith("Create one")).length]).toEqual([lost, sends]);
    expect(inWords().at(-1)).toBe("Create two x1");
    expect(recorder.backlog).toBe(0);
  });

  it("counts what it dropped, by the reason", async () => {
    answer = async () => {
      throw answered(403, "Forbidden");
    };
    tell("one");
    tell("one");
    tell("two");
    await pass(0);
    expect([...recorder.dropped]).toEqual([["Refused", 3]]);
  });

  it("writes at the end what is told and what is counted, and drops what comes later", async () => {
    tell("one");
    await pass(0);
    tell("one");
    await pass(0);
    tell("one");
    tell("two");
    await recorder.flush({ signal: new AbortController().signal });
    expect(inWords().slice(2).sort()).toEqual(["Count  x3", "Create two x1"]);
    tell("late");
    expect(dropped).toEqual(["Stopping late x1"]);
  });

  it("leaves at the end of its time, whatever the server does, and says what it leaves behind", async () => {
    answer = dead;
    tell("one");
    await pass(0);
    tell("two");
    const bound = new AbortController();
    const flushed = recorder.flush({ signal: bound.signal });
    await pass(0);
    bound.abort(new Error("the time is up"));
    await flushed;
    expect(inWords()).toEqual(["Create one x1", "Create two x1"]);
    expect(dropped.sort()).toEqual(["Stopping one x1", "Stopping two x1"]);
  });

  it("tries at the end once, and not again", async () => {
    answer = async () => {
      throw new NoAnswerError(attempted, new Error("reset"));
    };
    tell("one");
    await recorder.flush({ signal: new AbortController().signal });
    expect(dropped).toEqual(["Stopping one x1"]);
    expect(sent.length).toBeLessThanOrEqual(2);
  });
});
