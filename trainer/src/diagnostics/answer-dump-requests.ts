import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import type { Place } from "../place.ts";
import { say } from "../say.ts";
import type { DumpThreadData } from "./dump-thread.ts";

/** In a bundle the thread's program is a file of its own beside the others. */
const program = new URL(import.meta.filename.endsWith(".ts") ? "dump-thread.ts" : "dump-thread.mjs", import.meta.url);

/**
 * Where the run watches for stalls, starts a thread that says what this process is doing when the agent asks. It keeps no
 * process alive, and training goes on without it.
 */
export function answerDumpRequests(place: Place): void {
  if (place.kind !== "pod" || place.stallSeconds === undefined) return;
  if (!existsSync(fileURLToPath(program))) {
    say(
      `nobody will say what a trainer was doing that stands still: ${fileURLToPath(program)} is missing. Make ` +
        "trainer/src/diagnostics/dump-thread.ts an entry point of the bundle.",
    );
    return;
  }
  const workerData: DumpThreadData = { control: place.control };
  // Flags of the script's own process, such as those of a debugger or a test runner, are not for this thread.
  const worker = new Worker(program, { name: "diagnostics", workerData, execArgv: [] });
  worker.unref();
  worker.on("error", (error) => console.error("The thread that answers requests for a dump has ended:", error));
}
