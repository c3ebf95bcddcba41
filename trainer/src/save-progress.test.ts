import { expect, onTestFinished, test, vi } from "vitest";
import type { Place } from "./place.ts";
import { reportSavesInFlight } from "./save-progress.ts";
import type { InFlight } from "./saver.ts";
import { FlightTime } from "./saving/flight-time.ts";

const common = { runUid: "run", checkpoints: "/checkpoints", interval: { steps: 1 }, graceSeconds: 30 };
const atHand: Place = { kind: "local", ...common };
const inPod: Place = {
  ...{ kind: "pod", ...common, attempt: 1, worker: 0, volume: "Durable" },
  ...{ control: "/control", terminationLog: "/log" },
};
const flight: InFlight = {
  ...{ step: 1, bytes: 1, remainingBytes: 1, time: new FlightTime(0), done: new Promise(() => undefined) },
  abandon: () => undefined,
};

test.each<[string, Place, number]>([
  ["in a pod, where the agent reads it, every five seconds", inPod, 4],
  ["at hand, where nobody does, at no time of its own", atHand, 0],
])("a save that is going on is reported %s", (_, place, reports) => {
  vi.useFakeTimers();
  onTestFinished(() => void vi.useRealTimers());
  const report = vi.fn();
  const saver: { inFlight: InFlight | null } = { inFlight: null };
  const reporting = reportSavesInFlight(place, saver, report);
  vi.advanceTimersByTime(20_000);
  expect(report).not.toHaveBeenCalled();
  saver.inFlight = flight;
  vi.advanceTimersByTime(20_000);
  reporting[Symbol.dispose]();
  vi.advanceTimersByTime(20_000);
  expect(report).toHaveBeenCalledTimes(reports);
});
