import { describe, expect, it } from "vitest";
import type { Action, RunEvent } from "../core/decision.ts";
import { RunEvents } from "./run-events.ts";

const ended: RunEvent = { type: "Warning", reason: "AttemptEnded", message: "Attempt 1 ended." };
const started: RunEvent = { type: "Normal", reason: "AttemptStarted", message: "Attempt 2 begins." };
const abandoned: RunEvent = { type: "Warning", reason: "PodsAbandoned", message: "Let the run go." };
const hold: Action = { kind: "HoldRun" };
const manifest = { apiVersion: "v1", kind: "Pod", metadata: { name: "mnist-2-0", namespace: "team" } };
const create: Action = { kind: "CreatePod", manifest, attempt: 2, worker: 0 };
const release: Action = { kind: "ReleaseRun" };

const pass = (events: RunEvent[], decided: Action[], done: Action[], statusStands = true) => ({
  events,
  decided,
  done,
  statusStands,
});

describe("the events of a pass", () => {
  const rows: readonly [title: string, done: ReturnType<typeof pass>, told: RunEvent[]][] = [
    ["are all told where all was done", pass([ended, started], [hold, create], [hold, create]), [ended, started]],
    ["tell what stands in status where an action was refused", pass([ended, started], [hold, create], [hold]), [ended]],
    ["tell nothing of a status that does not stand", pass([ended, started], [create], [], false), []],
    [
      "tell of an action for a deleted run whose status does not stand",
      pass([ended, abandoned], [release], [release], false),
      [abandoned],
    ],
  ];
  it.each(rows)("%s", (_, done, told) => expect(new RunEvents().due("u", done)).toEqual(told));

  it("tell of a creation once it is done, in a later pass, and once", () => {
    const events = new RunEvents();
    expect(events.due("u", pass([started], [create], []))).toEqual([]);
    expect(events.due("other", pass([], [create], [create]))).toEqual([]);
    expect(events.due("u", pass([], [], []))).toEqual([]);
    expect(events.due("u", pass([], [create], [create]))).toEqual([started]);
    expect(events.due("u", pass([], [create], [create]))).toEqual([]);
  });

  it("tell of the newest creation only, and of none of a run that is gone", () => {
    const events = new RunEvents();
    const next = { ...started, message: "Attempt 3 begins." };
    events.due("u", pass([started], [create], []));
    events.due("u", pass([next], [create], []));
    expect(events.due("u", pass([], [create], [create]))).toEqual([next]);
    events.due("u", pass([started], [create], []));
    events.forget("u");
    expect(events.due("u", pass([], [create], [create]))).toEqual([]);
  });
});
