/**
 * The program of the thread that says what the process is doing when the agent asks; `answerDumpRequests` starts it. It has
 * the thread to itself, because the one that trains is what may not answer.
 */
import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { workerData } from "node:worker_threads";
import { controlFiles } from "@trainingrun/checkpoint/contract/control-files.ts";
import { replaceFile } from "../replace-file.ts";
import { dumpOfProcess } from "./dump.ts";

/** What the thread is given. */
export type DumpThreadData = { readonly control: string };

/** The agent waits a few seconds. */
const lookMs = 500;

const { control }: DumpThreadData = workerData;
const request = join(control, controlFiles.dumpRequest);
for (;;) {
  await sleep(lookMs);
  if (!existsSync(request)) continue;
  // First, so that a request that is made meanwhile is another one.
  rmSync(request, { force: true });
  replaceFile(join(control, controlFiles.dump), await dumpOfProcess());
}
