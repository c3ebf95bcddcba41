import { type FileHandle, open } from "node:fs/promises";
import { pause } from "../backoff.ts";

/** Which part of a log is wanted, and whether what is written later is wanted too. */
export interface LogRequest {
  readonly path: string;
  readonly tailLines: number | undefined;
  readonly limitBytes: number | undefined;
  /** Asked while following: whether more may come. Undefined for what is there now. */
  readonly mayGrow: (() => boolean) | undefined;
}

const chunkBytes = 64 * 1_024;
const pollMs = 100;

/** Reads a log, and goes on reading while it grows. */
export async function* readLog(request: LogRequest, signal: AbortSignal): AsyncGenerator<Buffer> {
  const file = await open(request.path, "r");
  try {
    let position = await tailStart(file, request.tailLines);
    let left = request.limitBytes ?? Number.POSITIVE_INFINITY;
    while (!signal.aborted && left > 0) {
      // Asked before reading: what is written between the answer and the end of the log is then still read.
      const mayGrow = request.mayGrow?.() ?? false;
      const chunk = Buffer.alloc(Math.min(chunkBytes, left));
      const { bytesRead } = await file.read(chunk, 0, chunk.length, position);
      position += bytesRead;
      left -= bytesRead;
      if (bytesRead > 0) yield chunk.subarray(0, bytesRead);
      else if (mayGrow) await pause(pollMs, signal);
      else return;
    }
  } finally {
    await file.close();
  }
}

/** Where the last lines begin, found from the end so that a long log costs no more than a short one. */
async function tailStart(file: FileHandle, lines: number | undefined): Promise<number> {
  if (lines === undefined) return 0;
  const { size } = await file.stat();
  let position = size;
  // The newline that ends the last line does not begin another one.
  let newlinesLeft = lines + 1;
  const chunk = Buffer.alloc(chunkBytes);
  if (lines === 0) return size;
  const isWhole = size > 0 && (await byteAt(file, size - 1)) === newline;
  if (!isWhole) newlinesLeft -= 1;
  while (position > 0) {
    const length = Math.min(chunkBytes, position);
    position -= length;
    await file.read(chunk, 0, length, position);
    for (let index = length - 1; index >= 0; index -= 1) {
      if (chunk[index] !== newline) continue;
      newlinesLeft -= 1;
      if (newlinesLeft === 0) return position + index + 1;
    }
  }
  return 0;
}

const newline = 10;

async function byteAt(file: FileHandle, position: number): Promise<number | undefined> {
  const { buffer } = await file.read(Buffer.alloc(1), 0, 1, position);
  return buffer[0];
}
