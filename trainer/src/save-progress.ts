import type { Progress } from "@trainingrun/checkpoint/contract/progress.ts";
import type { Place } from "./place.ts";
import type { InFlight, Saver } from "./saver.ts";

/** Between two reports of a save that is going on, where nothing else is reported. */
const betweenReportsMs = 5_000;

/** What progress.json says of saving; asked every few seconds while a save is going on. */
export function describeSaves(
  { counts, stalls, bytesPerSecond, inFlight }: Pick<Saver, "counts" | "stalls" | "bytesPerSecond" | "inFlight">,
  nowMs: number,
): Progress["saves"] {
  const { committed, failed, skipped, lastSeconds, lastBytes } = counts;
  const { totalSeconds: stallSeconds, p50Seconds, p99Seconds } = stalls;
  return {
    ...{ committed, failed, skipped, lastSeconds, lastBytes, stallSeconds },
    ...(p50Seconds === null ? {} : { stallP50Seconds: p50Seconds }),
    ...(p99Seconds === null ? {} : { stallP99Seconds: p99Seconds }),
    ...(bytesPerSecond === null ? {} : { bytesPerSecond }),
    ...(inFlight === null ? {} : { inFlight: describeFlight(inFlight, nowMs) }),
  };
}

function describeFlight({ step, time, bytes }: InFlight, nowMs: number): Progress["saves"]["inFlight"] {
  const seconds = time.secondsAt(nowMs);
  return { step, seconds, bytes, movedSeconds: time.movedSeconds };
}

/**
 * Has `report` called every few seconds while a save is going on, until it is disposed of: during an evaluation, and after
 * the last step, no other report comes, and one that hangs would look like one that has just begun. At hand nobody reads
 * reports, and they lie on the very volume that may hang.
 */
export function reportSavesInFlight(place: Place, saver: Pick<Saver, "inFlight">, report: () => void): Disposable {
  const timer =
    place.kind === "pod" ? setInterval(() => saver.inFlight !== null && report(), betweenReportsMs).unref() : undefined;
  return { [Symbol.dispose]: () => clearInterval(timer) };
}
