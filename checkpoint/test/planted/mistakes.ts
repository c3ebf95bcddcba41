import { bytesFile } from "../../src/file-source.ts";
import { healthy } from "../../src/health.ts";
import { appendRecord } from "../../src/log/append.ts";
import { readLog } from "../../src/log/read.ts";
import type { RecordDraft } from "../../src/log/record.ts";
import { manifestBytes, sealManifest } from "../../src/manifest.ts";
import { commitOf } from "../../src/save.ts";
import { chooseChunkBytes, FileSealer } from "../../src/seal-file.ts";
import { DirectoryStore } from "../../src/store/directory-store.ts";
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
  const source = bytesFile("model.bin", "opaque", new Uint8Array(1300).fill(7));
  const sealer = new FileSealer(source, { chunkBytes: chooseChunkBytes([1300]), buffer: new Uint8Array(8 * 2 ** 20) });
  const writer = await store.begin({ step: 30, attempt: 1 });
  await writer.write(source.path, sealer.pieces());
  const manifest = sealManifest({
    runUid,
    attempt: 1,
    step: 30,
    parent: null,
    files: [sealer.seal()],
    metrics: [],
    health: healthy,
    producer: { name: "test", version: "1.0.0" },
    time: "2026-01-01T00:00:00.000Z",
  });
  for (const act of acts) {
    if (act === "commit") await appendRecord(store, commitOf(manifest));
    else await writer.publish(manifestBytes(manifest));
  }
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
