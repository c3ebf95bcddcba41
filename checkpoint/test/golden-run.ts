import type { Digest } from "../src/contract/digest.ts";
import { bytesFile, type FileSource, jsonFile } from "../src/file-source.ts";
import { compareHealth } from "../src/health.ts";
import { appendRecord, appendRecordAfter } from "../src/log/append.ts";
import { readLog } from "../src/log/read.ts";
import type { OpenDraft, RecordDraft } from "../src/log/record.ts";
import { tensorsFile } from "../src/safetensors/write.ts";
import { type SavedCheckpoint, saveCheckpoint } from "../src/save.ts";
import { type DirectoryStore, openDirectoryStore } from "../src/store/directory-store.ts";

export const goldenRunUid = "6a1d2f0e-3b5c-4d7e-8f90-a1b2c3d4e5f6";

/** When the record of that number was appended, in the golden runs. */
export const minute = (number: number) => `2026-01-01T00:${String(number).padStart(2, "0")}:00.000Z`;
/** Who appended it. */
export const writer = (number: number) => `writer-${String(number).padStart(4, "0")}`;

/**
 * Writes the run that `golden/v1` holds: every kind of record, file and dtype width, and nothing that differs from
 * one machine or moment to the next. The other golden runs are in golden-histories.ts.
 */
export async function writeGoldenRun(root: string): Promise<void> {
  const store = await openDirectoryStore(root, { runUid: goldenRunUid });
  await open(store, { attempt: 1, base: null });
  const ten = await save(store, { attempt: 1, step: 10, parent: null });
  const twenty = await save(store, { attempt: 1, step: 20, parent: null });
  const manifest = twenty.manifest.digest;
  const message = 'chunk 0 of "model.safetensors" does not match, twice';
  await append(store, { kind: "refuse", attempt: 2, manifest, reason: "BytesDiffer", message, node: "node-b" });
  await open(store, { attempt: 2, base: ten.manifest.digest });
  const fifteen = await save(store, { attempt: 2, step: 15, parent: ten.manifest.digest });
  await append(store, {
    kind: "delete",
    attempt: 2,
    manifests: [manifest],
    why: "two newer are verified, no rule keeps it",
  });
  await store.remove(twenty.directory);
  await append(store, { kind: "done", attempt: 2, manifest: fifteen.manifest.digest });
}

type Place = Readonly<{ attempt: number; step: number; parent: Digest | null; epoch?: number; files?: FileSource[] }>;

/** Saves a step of a golden run, under the number that is next. */
export async function save(store: DirectoryStore, { files, ...place }: Place): Promise<SavedCheckpoint> {
  const { step } = place;
  const number = (await readLog(store)).state.last + 1;
  return saveCheckpoint(store, {
    ...{ runUid: store.runUid, ...place, ...saidOf(step) },
    files: files ?? goldenFiles(step),
    time: minute(number),
    writer: writer(number),
  });
}

/** What a golden checkpoint says of its step: the one of step 15 has a new tensor that is not finite. */
export function saidOf(step: number) {
  return {
    metrics: [
      { name: "accuracy", value: "0.975" },
      { name: "loss", value: String(1 / step) },
    ],
    health: compareHealth(["mask", ...(step === 15 ? ["layer/bias"] : [])], ["mask"]),
    producer: { name: "golden", version: "1.0.0" },
  };
}

/** Every kind of file and width of tensor. */
export function goldenFiles(step: number): FileSource[] {
  const ramp = (bytes: number) => Uint8Array.from({ length: bytes }, (_, index) => (index * 7 + step) % 256);
  return [
    tensorsFile(
      "model.safetensors",
      [
        { name: "layer/kernel", dtype: "F32", shape: [2, 3], bytes: ramp(24) },
        { name: "layer/bias", dtype: "F16", shape: [3], bytes: ramp(6) },
        { name: "mask", dtype: "BOOL", shape: [2, 2], bytes: Uint8Array.of(1, 0, 0, 1) },
        { name: "empty", dtype: "I64", shape: [0, 4], bytes: new Uint8Array(0) },
        { name: "größe", dtype: "F64", shape: [], bytes: ramp(8) },
      ],
      { framework: "golden" },
    ),
    jsonFile("state.json", { step, epoch: 0.5, rng: [1, 4294967295], schedule: { rate: 1e-7 } }),
    bytesFile("framework/nested/blob.bin", "opaque", ramp(300)),
    bytesFile("framework/empty.bin", "opaque", new Uint8Array(0)),
  ];
}

/** Opens an attempt of a golden run. */
export async function open(
  store: DirectoryStore,
  { attempt, ...more }: Pick<OpenDraft, "attempt" | "base" | "imported" | "chosen">,
): Promise<void> {
  const draft = {
    kind: "open",
    attempt,
    podUid: `pod-${attempt}`,
    node: "node-a",
    generation: attempt,
    ...more,
  } as const;
  await append(store, draft);
}

/** Appends a record to a golden run's log, under the number that is next. */
export async function append(store: DirectoryStore, draft: RecordDraft | OpenDraft): Promise<void> {
  const { last } = (await readLog(store)).state;
  const named = { ...draft, time: minute(last + 1), writer: writer(last + 1) };
  const outcome =
    named.kind === "open" ? await appendRecordAfter(store, named, { after: last }) : await appendRecord(store, named);
  if (outcome.kind !== "appended")
    throw new Error(`Cannot write the golden run because its log answered ${outcome.kind}`);
}
