import { constants } from "node:fs";
import { type FileHandle, open, rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { controlFiles } from "@trainingrun/checkpoint/contract/control-files.ts";
import type { AgentEnvironment } from "@trainingrun/checkpoint/contract/pod-environment.ts";
import { writeAtomically } from "../control-directory.ts";
import { findTrainerProcess, type TrainerProcess } from "./trainer-process.ts";

/** A dump is for a person: more of it is not kept. */
export const maxDumpBytes = 256 * 1024;
const answerMs = 5_000;
const pollMs = 100;

/** How long an answer is waited for; shorter in tests. */
type Patience = Readonly<{ signal: AbortSignal; waitMs?: number }>;

/**
 * Asks the trainer's process what it is doing, by a file and, where it wishes that and can be seen, by a signal; waits some
 * seconds for what it says. A process that says nothing is described as far as it is seen.
 */
export async function askForDump(
  environment: AgentEnvironment,
  { signal, waitMs = answerMs }: Patience,
): Promise<string> {
  const request = join(environment.TRAININGRUN_CONTROL, controlFiles.dumpRequest);
  const answer = join(environment.TRAININGRUN_CONTROL, controlFiles.dump);
  const before = await placeOf(answer);
  await writeAtomically(request, "");
  try {
    const trainer = await findTrainerProcess(environment);
    if (trainer !== null) sendWished(trainer);
    const text = await answered(answer, before, { signal, waitMs });
    if (text !== null) return printable(text);
    return noAnswer(waitMs, trainer === null ? null : await findTrainerProcess(environment));
  } finally {
    await rm(request, { force: true });
  }
}

/** What was in the file before: a program that was given it when it began appends to it. */
type Place = Readonly<{ inode: bigint; size: number }>;

async function placeOf(path: string): Promise<Place | null> {
  return withPlainFile(path, async (file) => placeIn(file));
}

async function placeIn(file: FileHandle): Promise<Place> {
  const { ino, size } = await file.stat({ bigint: true });
  return { inode: ino, size: Number(size) };
}

/** What is said after the request, once it says no more; null where nothing is said in time. */
async function answered(
  path: string,
  before: Place | null,
  { signal, waitMs }: Required<Patience>,
): Promise<string | null> {
  let last = "";
  for (const endMs = performance.now() + waitMs; performance.now() < endMs && !signal.aborted; ) {
    await sleep(pollMs, undefined, { signal }).catch(() => undefined);
    const text = (await withPlainFile(path, (file) => readAfter(file, before))) ?? "";
    if (text !== "" && text === last) break;
    last = text;
  }
  return last === "" ? null : last;
}

async function readAfter(file: FileHandle, before: Place | null): Promise<string> {
  const now = await placeIn(file);
  const isAppended = before !== null && now.inode === before.inode && now.size >= before.size;
  const bytes = Buffer.alloc(maxDumpBytes);
  let length = 0;
  for (let read = -1; read !== 0 && length < bytes.length; length += read) {
    const at = (isAppended ? before.size : 0) + length;
    read = (await file.read(bytes, length, bytes.length - length, at)).bytesRead;
  }
  return bytes.toString("utf8", 0, length);
}

/**
 * A link is not followed: it would lead from the trainer's directory to what only the agent may read, such as the keys of
 * the object store, and what is found here is shown to everybody. A pipe is not waited for.
 */
async function withPlainFile<T>(path: string, work: (file: FileHandle) => Promise<T>): Promise<T | null> {
  try {
    await using file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW);
    return (await file.stat()).isFile() ? await work(file) : null;
  } catch {
    // Absent, or no file of text: nobody has said anything.
    return null;
  }
}

function sendWished({ pid, dumpSignal }: TrainerProcess): void {
  if (dumpSignal === null) return;
  try {
    process.kill(pid, dumpSignal);
  } catch (error) {
    console.error(`Cannot ask process ${pid} by ${dumpSignal} what it is doing: ${String(error)}`);
  }
}

function noAnswer(waitMs: number, seen: TrainerProcess | null): string {
  const asked = `No answer: the trainer's process did not say within ${waitMs / 1000} s what it is doing.`;
  if (seen === null) return `${asked} It is stopped, or its program answers no ${controlFiles.dumpRequest}.\n`;
  const { pid, name, state, waitsIn } = seen;
  const where = waitsIn === "" ? "" : `, in the kernel's ${waitsIn}`;
  return `${asked} Process ${pid} (${name}) is in state ${state}${where}.\n`;
}

/** It ends up on people's terminals, which heed control characters. */
function printable(text: string): string {
  return text.replace(/(?![\n\t])\p{Cc}/gu, "\ufffd");
}
