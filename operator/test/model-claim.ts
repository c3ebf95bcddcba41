import type { ObservedVolume } from "../src/core/observed.ts";

/** What is observed of a claim that is not there: nothing was asked for, or it is missing. */
export function absence(claimName: string | null): ObservedVolume {
  return claimName === null ? { kind: "None" } : { kind: "Absent", claimName };
}
