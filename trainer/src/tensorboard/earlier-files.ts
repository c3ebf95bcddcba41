import { readdir, readFile, rename, unlink } from "node:fs/promises";
import { join } from "node:path";
import { absentAsNull, writeNewFile } from "@trainingrun/checkpoint/store/file-system.ts";
import { stepOf } from "./event.ts";
import { wholeRecords } from "./record.ts";

const eventFileName = /^events\.out\.tfevents\.(\d{12,16})\.(\d+)$/;
/** Without the word by which viewers recognise event files. */
const partialPrefix = ".partial-";

/** The file of one attempt. Viewers read files in the order of their names, hence the padding. */
export function eventFile({ firstStep, attempt }: { firstStep: number; attempt: number }): string {
  return `events.out.tfevents.${String(firstStep).padStart(12, "0")}.${attempt}`;
}

/**
 * Makes the files of earlier attempts end with `step`, from which `attempt` goes on.
 *
 * A file is created only when this is through, so the steps of each end before the first of the next:
 *
 *   .000000000001.1  1 ... 150      resume from 100      1 ... 100
 *   .000000000151.2  151 ... 170   ----------------->   removed
 *                                                       101 ...       .000000000101.3
 *
 * Files of later steps go, newest first, and the last one left is written anew even where it has nothing too much: its
 * writer may be a process that was given up and lives on, and what that appends goes to the file without a name.
 * Returns false, having changed nothing, where a later attempt has a file: then it is this process that was given up.
 */
export async function cutEarlierFiles(
  directory: string,
  { step, attempt }: { step: number; attempt: number },
): Promise<boolean> {
  const names = await readdir(directory);
  const files = names.map(parseEventFile).filter((file) => file !== null);
  if (files.some((file) => file.attempt > attempt)) return false;
  for (const name of names) if (name.startsWith(partialPrefix)) await absentAsNull(() => unlink(join(directory, name)));
  files.sort((a, b) => b.firstStep - a.firstStep || b.attempt - a.attempt);
  for (const { name } of files.filter(({ firstStep }) => firstStep > step)) {
    await absentAsNull(() => unlink(join(directory, name)));
  }
  const last = files.find(({ firstStep }) => firstStep <= step);
  if (last !== undefined) await cut(directory, { name: last.name, step, attempt });
  return true;
}

async function cut(
  directory: string,
  { name, step, attempt }: { name: string; step: number; attempt: number },
): Promise<void> {
  const path = join(directory, name);
  const bytes = await readFile(path);
  let end = 0;
  for (const record of wholeRecords(bytes)) {
    if (stepOf(record.data) > step) break;
    end = record.end;
  }
  const partial = join(directory, `${partialPrefix}${attempt}`);
  await writeNewFile(partial, [bytes.subarray(0, end)]);
  await rename(partial, path);
}

function parseEventFile(name: string): { name: string; firstStep: number; attempt: number } | null {
  const match = eventFileName.exec(name);
  return match === null ? null : { name, firstStep: Number(match[1]), attempt: Number(match[2]) };
}
