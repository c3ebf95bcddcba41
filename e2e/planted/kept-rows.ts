import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { appendFileSync, existsSync, mkdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { z } from "zod";
import { root } from "./planted-sources.ts";

/** What became of one mistake. */
export const PlantedRow = z.object({
  patch: z.string(),
  /** Whether the test named for it fails with it, and passes without. */
  caught: z.boolean(),
  /** The test that failed, or why none did. */
  by: z.string(),
  seconds: z.number(),
  /** The check of the simulation that broke first, null where none of the seeds did it, and how many were played. */
  simulated: z.object({ check: z.string().nullable(), seeds: z.int() }),
});
export type PlantedRow = Readonly<z.infer<typeof PlantedRow>>;

const Kept = z.object({ tree: z.string(), row: PlantedRow });

/**
 * The rows of a measure that did not come to its end: the next one goes on from them, as long as no program, test or patch
 * has changed since.
 */
export class KeptRows {
  readonly #path: string;
  readonly #tree: string;
  readonly #rows = new Map<string, PlantedRow>();

  constructor(path = join(root, ".cache/planted-rows.jsonl"), tree = hashOfTree()) {
    this.#path = path;
    this.#tree = tree;
    if (!existsSync(path)) return;
    for (const line of readFileSync(path, "utf8").split("\n").filter(Boolean)) {
      const kept = Kept.safeParse(jsonOf(line));
      if (kept.success && kept.data.tree === tree) this.#rows.set(kept.data.row.patch, kept.data.row);
    }
  }

  /** The row of a patch; undefined where it has to be made. */
  of(patch: string): PlantedRow | undefined {
    return this.#rows.get(patch);
  }

  /** Keeps a row. */
  add(row: PlantedRow): void {
    this.#rows.set(row.patch, row);
    mkdirSync(dirname(this.#path), { recursive: true });
    // What was there may end in half a line.
    appendFileSync(this.#path, `\n${JSON.stringify({ tree: this.#tree, row })}`);
  }
}

/** Null for half a line: a measure may have been ended while it wrote. */
function jsonOf(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}

/** Of everything that is run, and of every patch, as it stands on the disk. */
function hashOfTree(): string {
  const args = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
  const listed = execFileSync("git", args, { cwd: root, encoding: "utf8", maxBuffer: 64 * 2 ** 20 });
  const hash = createHash("sha256");
  for (const path of listed.split("\0").filter((each) => /\.(ts|json|yaml|patch)$/.test(each))) {
    const at = join(root, path);
    if (existsSync(at)) hash.update(`${path}\0`).update(readFileSync(at));
  }
  return hash.digest("hex");
}
