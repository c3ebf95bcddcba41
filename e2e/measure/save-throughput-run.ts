import { join } from "node:path";

/** The run that the throughput measurements save and read, in a directory of the measurement's own. */
export function throughputRun(directory: string) {
  return {
    root: join(directory, "run"),
    runUid: "7c1f6d53-6d0a-4a53-9f3c-8b1f0d1c2e55",
    model: "model.safetensors",
  } as const;
}
