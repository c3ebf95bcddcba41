import { readFileSync } from "node:fs";
import { join } from "node:path";
import { controlFiles } from "@trainingrun/checkpoint/contract/control-files.ts";
import { finalSaveSeconds } from "@trainingrun/checkpoint/contract/final-save-time.ts";
import { MirrorRate } from "@trainingrun/checkpoint/contract/mirror-rate.ts";
import type { Deadline } from "./grace.ts";
import type { Place } from "./place.ts";

/**
 * How fast what is saved here is brought to safety, in bytes per second. Null where it is safe once it is saved, and
 * where the agent has not said yet: then nobody knows what to leave it.
 */
export function uploadRate(place: Place): number | null {
  if (place.kind === "local" || place.volume === "Durable") return null;
  try {
    const content: unknown = JSON.parse(readFileSync(join(place.control, controlFiles.mirrorRate), "utf8"));
    return MirrorRate.safeParse(content).data?.bytesPerSecond ?? null;
  } catch {
    return null;
  }
}

/** What is left to save in where the pod's end is also the end of what has not been uploaded by then. */
export function lessUpload(
  { sureMs, latestMs }: Deadline,
  { bytes, bytesPerSecond }: { bytes: number; bytesPerSecond: number | null },
): Deadline {
  const uploadMs = bytesPerSecond === null ? 0 : (finalSaveSeconds.agent + bytes / bytesPerSecond) * 1000;
  return { sureMs: sureMs - uploadMs, latestMs: latestMs - uploadMs };
}
