import { hashBytes, preferredAlgorithm } from "../../src/hash.ts";
import { healthy } from "../../src/health.ts";
import { chunkBytes } from "../../src/limits.ts";
import { appendRecord } from "../../src/log/append.ts";
import { readLog } from "../../src/log/read.ts";
import type { RecordDraft } from "../../src/log/record.ts";
import { fileDigest, manifestBytes, sealManifest } from "../../src/manifest.ts";
import { commitOf } from "../../src/save.ts";
import { DirectoryStore } from "../../src/store/directory-store.ts";
import type { Store } from "../../src/store/store.ts";
import { runUid } from "../crash-grid/operations.ts";
import { type Scenario, scenarioNamed } from "../crash-grid/scenarios.ts";

/** A scenario carried out by code with a plausible mistake: the grid and the power loss must find it broken. */
export const mistakenScenarios: readonly Scenario[] = [
  {
    ...scenarioNamed("save"),
    name: "commits before its data is durable",
    run: (root) => saveInOrder(root, ["commit", "publish"]),
  },
  {
    ...scenarioNamed("retention"),
    name: "removes bytes without a tombstone",
    run: (root) => removeInOrder(root, ["remove"]),
  },
  {
    ...scenarioNamed("retention"),
    name: "writes the tombstone after the removal",
    run: (root) => removeInOrder(root, ["remove", "tombstone"]),
  },
];

/** The same save with its last two acts in this order. */
async function saveInOrder(root: string, acts: readonly ("commit" | "publish")[]): Promise<void> {
  const store = new DirectoryStore(root, runUid);
  const { writer, manifest } = await writeStep(store, { step: 30, attempt: 1 });
  for (const act of acts) {
    if (act === "commit") await appendRecord(store, commitOf(manifest));
    else await writer.publish(manifestBytes(manifest));
  }
}

/** The first half of a save: its one file is written, and neither published nor committed. */
export async function writeStep(store: Store, { step, attempt }: { step: number; attempt: number }) {
  const content = new Uint8Array(1300).fill(step);
  const writer = await store.begin({ step, attempt });
  await writer.write("model.bin", once(content));
  const algorithm = preferredAlgorithm();
  const chunks = [hashBytes(content).slice(algorithm.length + 1)];
  const digest = fileDigest({ algorithm, chunks });
  const manifest = sealManifest({
    runUid: store.runUid,
    attempt,
    step,
    parent: null,
    files: [{ path: "model.bin", kind: "opaque", bytes: content.byteLength, algorithm, digest, chunkBytes, chunks }],
    metrics: [],
    health: healthy,
    producer: { name: "test", version: "1.0.0" },
    time: "2026-01-01T00:00:00.000Z",
  });
  return { writer, manifest };
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

/** Takes the oldest checkpoint away, with its last acts in this order. */
async function removeInOrder(root: string, acts: readonly ("remove" | "tombstone")[]): Promise<void> {
  const store = new DirectoryStore(root, runUid);
  const [oldest] = (await readLog(store)).state.checkpoints;
  if (oldest === undefined) return;
  for (const act of acts) {
    const draft: RecordDraft = { kind: "delete", attempt: 1, manifests: [oldest.digest], why: "" };
    if (act === "tombstone") await appendRecord(store, draft);
    else await store.remove(oldest.directory);
  }
}
