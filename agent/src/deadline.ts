import { join } from "node:path";
import { controlFiles } from "@trainingrun/checkpoint/contract/control-files.ts";
import type { AgentEnvironment } from "@trainingrun/checkpoint/contract/pod-environment.ts";
import { TrainerRecord } from "@trainingrun/checkpoint/contract/termination.ts";
import { readControlFile } from "./control-directory.ts";
import { graceLeftMs } from "./grace.ts";

/** The end of the time that SIGTERM leaves: `signal` is aborted there; until `stop`, nobody can say how long that is. */
export type Deadline = Readonly<{ signal: AbortSignal; leftMs: () => Promise<number> }>;

/** The deadline that begins to run with `stop`. */
export function deadlineAfter(stop: AbortSignal, environment: AgentEnvironment): Deadline {
  const end = new AbortController();
  const at = new Promise<number>((resolve) => {
    const begin = async () => {
      const preempted = await readControlFile(
        join(environment.TRAININGRUN_CONTROL, controlFiles.preempted),
        TrainerRecord,
      );
      const leftMs = graceLeftMs(environment.TRAININGRUN_GRACE_SECONDS, preempted);
      setTimeout(() => end.abort(), leftMs).unref();
      resolve(performance.now() + leftMs);
    };
    if (stop.aborted) void begin();
    else stop.addEventListener("abort", () => void begin(), { once: true });
  });
  return { signal: end.signal, leftMs: async () => (await at) - performance.now() };
}
