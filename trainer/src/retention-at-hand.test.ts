import { mkdir, mkdtemp, readdir, readlink, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { jsonFile } from "@trainingrun/checkpoint/file-source.ts";
import { healthy } from "@trainingrun/checkpoint/health.ts";
import { appendRecordAfter } from "@trainingrun/checkpoint/log/append.ts";
import { saveCheckpoint } from "@trainingrun/checkpoint/save.ts";
import { openDirectoryStore } from "@trainingrun/checkpoint/store/directory-store.ts";
import { expect, onTestFinished, test } from "vitest";
import { RetentionAtHand } from "./retention-at-hand.ts";

/** A run outside a cluster, whose agent's work is done at hand. */
async function runAtHand() {
  const root = await mkdtemp(join(tmpdir(), "retention-at-hand-"));
  onTestFinished(() => rm(root, { recursive: true, force: true }));
  const store = await openDirectoryStore(root, { runUid: "run" });
  const draft = { kind: "open", attempt: 1, podUid: "pod", node: "", base: null, generation: 1 } as const;
  await appendRecordAfter(store, draft, { after: 0 });
  const best = { metric: "loss", mode: "Min" } as const;
  const retention = new RetentionAtHand({ store, attempt: 1, resume: null }, best);
  const save = async (step: number, loss: string) => {
    const who = { runUid: "run", attempt: 1, step, parent: null, health: healthy };
    const files = [jsonFile("state.json", { step })];
    const metrics = [{ name: "loss", value: loss }];
    const saved = await saveCheckpoint(store, { ...who, files, metrics, producer: { name: "test", version: "1" } });
    retention.afterCommit({ digest: saved.manifest.digest, directory: saved.directory });
  };
  const kept = async () =>
    (await readdir(join(root, "data"))).map((name) => Number(name.slice(5, 17))).sort((a, b) => a - b);
  return { root, retention, save, kept };
}

test("a run outside a cluster keeps the newest and the best, under names that lead to them", async () => {
  const { root, retention, save, kept } = await runAtHand();
  for (const [step, loss] of [
    [10, "0.1"],
    [20, "0.5"],
    [30, "0.4"],
    [40, "0.3"],
    [50, "0.2"],
  ] as const)
    await save(step, loss);
  await retention.settled;
  expect(await kept()).toEqual([10, 30, 40, 50]);
  expect(await readlink(join(root, "latest"))).toBe("data/step-000000000050-a0001");
  expect(await readlink(join(root, "best"))).toBe("data/step-000000000010-a0001");
});

test("a name that cannot be moved keeps nothing from being removed", async () => {
  const { root, retention, save, kept } = await runAtHand();
  await mkdir(join(root, "latest"));
  for (const step of [10, 20, 30, 40, 50]) await save(step, "0.1");
  await retention.settled;
  expect(await kept()).toEqual([30, 40, 50]);
});
