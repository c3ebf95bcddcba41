import { closeSync, fstatSync, openSync, readSync } from "node:fs";

const tailBytes = 16 * 1024;

/** The last `count` lines of a text that are not empty, indented for use under an error's first line. */
export function lastLines(text: string, count: number): string {
  const lines = text.split("\n").filter((line) => line.trim() !== "");
  return lines
    .slice(-count)
    .map((line) => `  | ${line}`)
    .join("\n");
}

/** The last lines of a log file, however long the file is; says so when there is none. */
export function logTail(path: string, count = 15): string {
  let file: number;
  try {
    file = openSync(path, "r");
  } catch {
    return `  | (no log at ${path})`;
  }
  try {
    const size = fstatSync(file).size;
    const buffer = Buffer.alloc(Math.min(size, tailBytes));
    readSync(file, buffer, 0, buffer.length, size - buffer.length);
    return lastLines(buffer.toString("utf8"), count);
  } finally {
    closeSync(file);
  }
}
