import { open, readdir } from "node:fs/promises";
import { join } from "node:path";
import { maxShownLength } from "@trainingrun/checkpoint/contract/resume.ts";
import { parseRecordingName, recordingName, replayDirectory } from "./replay-journal.ts";
import type { Followed } from "./replay-recorder.ts";
import { parseLine, ReplayHeading, ReplayStep } from "./replay-step.ts";

/** A heading and steps as they are written have some 200 characters a line; a file of more is not one of ours. */
const maxLineBytes = 400;
/** Recordings of one step by different attempts: the first and the last few say all there is. */
const maxRecordings = 64;

/** Steps on record, and why a record could not be read; null where all could. */
export type Found = { readonly steps: readonly ReplayStep[]; readonly unreadable: string | null };

/**
 * What is on record of the steps that follow on a checkpoint, one after the other and at most so many. Where several
 * attempts recorded them, the longest record counts, and of equally long ones the earliest: it is what the others were
 * compared with. A record ends where a line is damaged or missing. Nothing on record is no error; nor is what cannot be
 * read, for a resume does not depend on it, but it is told apart from what was never written, and `report` is told.
 */
export async function findRecording(
  root: string,
  { step, digest }: Followed,
  { steps, report }: { steps: number; report: (text: string) => void },
): Promise<Found> {
  let best: readonly ReplayStep[] = [];
  let unreadable: string | null = null;
  const orNone = async <Item>(reading: Promise<Item[]>): Promise<Item[]> => {
    try {
      return await reading;
    } catch (error) {
      report(`Cannot read what is on record for the replay check: ${String(error)}`);
      unreadable ??= String(error).slice(0, maxShownLength).toWellFormed();
      return [];
    }
  };
  const recordings = (await orNone(listRecordings(root))).filter((recording) => recording.step === step);
  for (const { attempt } of recordings.slice(0, maxRecordings)) {
    const found = await orNone(follow(root, { step, attempt, checkpoint: digest, steps }));
    if (found.length > best.length) best = found;
  }
  return { steps: best, unreadable };
}

/** By step and attempt, so that the earliest attempt comes first. */
async function listRecordings(root: string): Promise<{ step: number; attempt: number; name: string }[]> {
  const names = await absentAsEmpty(() => readdir(join(root, replayDirectory)));
  return names
    .flatMap((name) => {
      const recording = parseRecordingName(name);
      return recording === null ? [] : [{ ...recording, name }];
    })
    .sort((a, b) => a.step - b.step || a.attempt - b.attempt);
}

type Wanted = { step: number; attempt: number; checkpoint: string | null; steps: number };

/**
 * One attempt's steps from a checkpoint on. Where its next save cut the recording short, it goes on in the recording
 * that follows on that save: within an attempt there is one sequence of steps.
 */
async function follow(root: string, wanted: Wanted): Promise<ReplayStep[]> {
  const found: ReplayStep[] = [];
  const last = wanted.step + wanted.steps;
  let from = wanted.step;
  let { checkpoint } = wanted;
  for (;;) {
    const part = await readRecording(root, { ...wanted, step: from, checkpoint, steps: last - from });
    found.push(...part);
    from += part.length;
    if (part.length === 0 || from >= last) return found;
    // Whichever checkpoint it is: the attempt's own save of that step.
    checkpoint = null;
  }
}

async function readRecording(root: string, { step, attempt, checkpoint, steps }: Wanted): Promise<ReplayStep[]> {
  const path = join(root, replayDirectory, recordingName(step, attempt));
  const [first = "", ...lines] = await readLines(path, (steps + 1) * maxLineBytes);
  const heading = parseLine(first, ReplayHeading);
  if (heading?.step !== step || heading.attempt !== attempt) return [];
  if (checkpoint !== null && heading.checkpoint !== checkpoint) return [];
  const found: ReplayStep[] = [];
  for (const line of lines.slice(0, steps)) {
    const content = parseLine(line, ReplayStep);
    if (content?.step !== step + found.length + 1) break;
    found.push(content);
  }
  return found;
}

/** The lines in the first bytes of a file; the last one may be cut. None where there is no such file. */
async function readLines(path: string, maxBytes: number): Promise<string[]> {
  const text = await absentAsEmpty(async () => {
    await using file = await open(path);
    const { size } = await file.stat();
    const bytes = Buffer.alloc(Math.min(size, maxBytes));
    const { bytesRead } = await file.read(bytes, 0, bytes.byteLength, 0);
    return [bytes.toString("utf8", 0, bytesRead)];
  });
  return text[0]?.split("\n") ?? [];
}

async function absentAsEmpty<Item>(read: () => Promise<Item[]>): Promise<Item[]> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return [];
    throw error;
  }
}
