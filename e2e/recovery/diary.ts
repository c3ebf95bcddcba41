import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { until } from "../harness/run-access.ts";

const What = z.enum(["running", "crashed"]);
/** Something that a container wrote down, and when that was by its clock, in epoch milliseconds. */
export type Entry = Readonly<{ what: z.infer<typeof What>; atMs: number }>;

const lookEveryMs = 20;

/** What the containers of one object have written, one after the other, as this machine sees their volume. */
export class Diary {
  readonly #path: string;

  constructor(directory: string) {
    this.#path = join(directory, "diary");
  }

  /** All that has been written so far: nothing, before the first container ran. */
  async entries(): Promise<readonly Entry[]> {
    const text = await readFile(this.#path, "utf8").catch(emptyWhereAbsent);
    // A line counts once it has its end.
    return text.split("\n").slice(0, -1).map(parseLine);
  }

  /** The first entry of a kind behind so many others. */
  async next(what: Entry["what"], { after, signal }: { after: number; signal: AbortSignal }): Promise<Entry> {
    let found: Entry | undefined;
    await until(
      () => `"${what}" in ${this.#path}, behind ${after} entries`,
      signal,
      async () => {
        found = (await this.entries()).slice(after).find((entry) => entry.what === what);
        return found !== undefined;
      },
      { everyMs: lookEveryMs },
    );
    if (found === undefined) throw new Error(`Cannot read ${this.#path}: the wait for "${what}" ended without it`);
    return found;
  }
}

function parseLine(line: string): Entry {
  const [what, at] = line.split(" ");
  return { what: What.parse(what), atMs: z.coerce.number().pipe(z.int().positive()).parse(at) };
}

function emptyWhereAbsent(error: unknown): string {
  if (error instanceof Error && "code" in error && error.code === "ENOENT") return "";
  throw error;
}
