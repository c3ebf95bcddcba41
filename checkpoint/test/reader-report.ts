import { createHash } from "node:crypto";
import { join } from "node:path";
import { candidates } from "../src/candidates.ts";
import { readLog } from "../src/log/read.ts";
import type { CheckpointRef, RunState } from "../src/log/state.ts";
import { type Manifest, UnknownFormatError } from "../src/manifest.ts";
import { readTensors } from "../src/safetensors/read.ts";
import { DirectoryStore } from "../src/store/directory-store.ts";
import { verifyCheckpoint } from "../src/verify.ts";

type Tensor = Readonly<{ name: string; dtype: string; shape: readonly number[]; sha256: string }>;

/** What any reader of the format must find in a run's directory; the reader in Python prints the same. */
export type ReaderReport = Readonly<
  Pick<RunState, "last" | "fence" | "damaged"> & {
    opened: Pick<NonNullable<RunState["opened"]>, "attempt" | "base" | "number"> | null;
    checkpoints: readonly (Omit<CheckpointRef, "bytes" | "time"> & {
      /** `Whole`, `UnknownVersion`, or the word of the refusal. */
      verdict: string;
      /** Digests of the files of a whole one, by name. */
      files?: Record<string, string>;
      tensors?: Record<string, readonly Tensor[]>;
    })[];
    refused: readonly string[];
    deleted: readonly string[];
    done: string | null;
    candidates: readonly string[];
  }
>;

/** This library's own report; it rejects where the log is of another version. */
export async function readerReport(root: string, runUid: string): Promise<ReaderReport> {
  const store = new DirectoryStore(root, runUid);
  const { state } = await readLog(store);
  const { last, opened, fence, damaged } = state;
  return {
    last,
    opened: opened && { attempt: opened.attempt, base: opened.base, number: opened.number },
    fence,
    damaged,
    checkpoints: await Promise.all(state.checkpoints.map((ref) => describe(store, ref))),
    refused: state.refused.map(({ digest }) => digest),
    deleted: state.deleted.map(({ directory }) => directory),
    done: state.done?.manifest ?? null,
    candidates: candidates(state, { base: null, refused: [] }).map(({ digest }) => digest),
  };
}

async function describe(store: DirectoryStore, ref: CheckpointRef): Promise<ReaderReport["checkpoints"][number]> {
  const { bytes: _, time: __, ...shown } = ref;
  try {
    const verdict = await verifyCheckpoint(store, ref);
    if (!verdict.ok) return { ...shown, verdict: verdict.reason };
    const files = Object.fromEntries(verdict.manifest.files.map(({ path, digest }) => [path, digest]));
    return { ...shown, verdict: "Whole", files, tensors: await tensorsOf(store, ref, verdict.manifest) };
  } catch (error) {
    if (error instanceof UnknownFormatError) return { ...shown, verdict: "UnknownVersion" };
    throw error;
  }
}

async function tensorsOf(store: DirectoryStore, { directory }: CheckpointRef, { files }: Manifest) {
  const found: Record<string, Tensor[]> = {};
  for (const { path } of files.filter(({ kind }) => kind === "tensors")) {
    const { tensors } = await readTensors(join(store.root, "data", directory, path));
    const described = [...tensors].map(([name, { dtype, shape, bytes }]) => {
      return { name, dtype, shape, sha256: createHash("sha256").update(bytes).digest("hex") };
    });
    found[path] = described.sort((a, b) => (a.name < b.name ? -1 : 1));
  }
  return found;
}
