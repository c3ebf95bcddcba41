import { constants } from "node:fs";
import { chmod, mkdir, open, rename, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { controlFiles } from "@trainingrun/checkpoint/contract/control-files.ts";
import type { z } from "zod";

const maxBytes = 1 << 20;

/** Puts `text` under `path` so that a reader sees the whole of it or what was there before. */
export async function writeAtomically(path: string, text: string): Promise<void> {
  await makeDirectory(dirname(path));
  // No fsync: the control directory lives exactly as long as the pod.
  const temporary = `${path}.${process.pid}.tmp`;
  await writeFile(temporary, text);
  await rename(temporary, path);
}

/**
 * The parsed content of a control file, or null when it is absent, torn, oversized or of another version: whatever
 * the other container did, the agent goes on, and asks again at its next look.
 */
export async function readControlFile<S extends z.ZodType>(path: string, schema: S): Promise<z.output<S> | null> {
  return new ControlFile(path, schema).read();
}

/** A control file that is read again and again, and parsed only where its text is another one than before. */
export class ControlFile<S extends z.ZodType> {
  readonly #path: string;
  readonly #schema: S;
  #last: Readonly<{ text: string; content: z.output<S> | null }> | null = null;

  constructor(path: string, schema: S) {
    this.#path = path;
    this.#schema = schema;
  }

  /** Reads it now, as {@link readControlFile} does. */
  async read(): Promise<z.output<S> | null> {
    try {
      const text = await readBounded(this.#path);
      if (text === null) return null;
      if (this.#last?.text !== text) {
        this.#last = { text, content: this.#schema.safeParse(JSON.parse(text)).data ?? null };
      }
      return this.#last.content;
    } catch {
      return null;
    }
  }
}

/** The text of a plain file; null where it has more than {@link maxBytes}, of which nothing is read, or grows meanwhile. */
async function readBounded(path: string): Promise<string | null> {
  // What is no plain file is not waited for: a pipe would block until somebody writes to it.
  await using file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  const found = await file.stat();
  if (!found.isFile() || found.size > maxBytes) return null;
  const bytes = Buffer.alloc(found.size + 1);
  let length = 0;
  for (let read = -1; read !== 0 && length < bytes.length; length += read) {
    read = (await file.read(bytes, length, bytes.length - length)).bytesRead;
  }
  return length > found.size ? null : bytes.toString("utf8", 0, length);
}

/** Asks the trainer for a save at its next step. Asking again before it began that save changes nothing. */
export async function requestSave(controlDirectory: string): Promise<void> {
  await makeDirectory(controlDirectory);
  await writeFile(join(controlDirectory, controlFiles.save), "", { flag: "a" });
}

/** Trainer and agent share a group, not always a user: each replaces files that the other made. */
async function makeDirectory(path: string): Promise<void> {
  const made = await mkdir(path, { recursive: true });
  if (made !== undefined) await chmod(path, 0o2775);
}
