import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { directoryName } from "@trainingrun/checkpoint/directory-name.ts";
import { FencedError } from "@trainingrun/checkpoint/log/append.ts";
import { restoreRun } from "@trainingrun/checkpoint/restore.ts";
import { DirectoryStore } from "@trainingrun/checkpoint/store/directory-store.ts";
import { StorageUnavailableError } from "@trainingrun/checkpoint/store/store.ts";
import { verifyCheckpoint } from "@trainingrun/checkpoint/verify.ts";
import { beforeEach, expect, test, vi } from "vitest";
import { keepMany, ServingPod, savedPod } from "../../test/mirror-scene.ts";
import { nothingRecorded } from "../../test/sample.ts";
import { CheckpointJudge } from "./keeper-verdict.ts";
import { VerifiedDigests } from "./verified-digests.ts";

const never = new AbortController().signal;

beforeEach(() => {
  for (const said of ["log", "warn", "error"] as const) vi.spyOn(console, said).mockReturnValue(undefined);
});

/** A volume whose last sync of a record fails, as the one of a commit did before. */
class UnsyncedStore extends DirectoryStore {
  override rewriteRecord(): Promise<void> {
    return Promise.reject(new StorageUnavailableError("the record cannot be synced"));
  }
}

/** A volume that loses a bit of each checkpoint that is written to it. */
class SpoilingStore extends DirectoryStore {
  override async begin(place: { step: number; attempt: number }) {
    const writer = await super.begin(place);
    const publish = writer.publish.bind(writer);
    writer.publish = async (...given) => {
      await publish(...given);
      const path = join(this.root, "data", directoryName(place.step, place.attempt), "state.json");
      writeFileSync(path, readFileSync(path).fill(0, 0, 1));
    };
    return writer;
  }
}

/** A pod, the one checkpoint that it has to judge, and another store on its volume. */
async function judged(Volume: typeof DirectoryStore = DirectoryStore) {
  const { tiers, pod: first, saved } = await savedPod([10, 20]);
  await first.mirrorUntil(() => first.mirror.settled);
  const pod = await ServingPod.start(tiers, 2, keepMany);
  const { environment } = pod;
  const store = new Volume(environment.TRAININGRUN_CHECKPOINTS, "run-uid");
  const verified = await VerifiedDigests.known(environment, pod.keeper.findings.restored);
  const judge = new CheckpointJudge({ environment, store, verified, openMirror: tiers.open });
  return { tiers, pod, saved, store, judge };
}

test("a commit that is not durable for certain is not said to be whole (I3)", async () => {
  const { pod, judge } = await judged(UnsyncedStore);
  await pod.save(30);
  const [own] = pod.keeper.findings.state.checkpoints.slice(-1);
  if (own === undefined) throw new Error("nothing was saved");
  await expect(judge.judge(own, never)).rejects.toThrow("the record cannot be synced");
});

test("a commit that a later open carries is durable with that", async () => {
  const { pod, judge } = await judged(UnsyncedStore);
  await pod.look();
  const [base] = pod.keeper.findings.state.checkpoints;
  if (base === undefined) throw new Error("nothing is carried");
  expect(await judge.judge(base, never)).toMatchObject({ kind: "Whole" });
});

test("a copy that does not stay whole although the object store's is, is never refused for that", async () => {
  const { pod, saved, judge } = await judged(SpoilingStore);
  await pod.look();
  const ref = pod.keeper.findings.state.checkpoints.find(({ step }) => step === 10);
  if (ref === undefined || saved[0] === undefined) throw new Error("nothing was saved");
  pod.trainer.damage(saved[0]);
  expect(await judge.judge(ref, never)).toMatchObject({ kind: "SetAside", found: { reason: "BytesDiffer" } });
  const { refusable, problems } = judge.unmatched;
  expect([refusable, problems]).toMatchObject([[], [{ reason: "CopyNotKept" }]]);
});

test("an agent that is fenced while it reads mends nothing", async () => {
  const { tiers, pod, saved, store, judge } = await judged();
  await pod.look();
  const ref = pod.keeper.findings.state.checkpoints.find(({ step }) => step === 10);
  if (ref === undefined || saved[0] === undefined) throw new Error("nothing was saved");
  pod.trainer.damage(saved[0]);
  const who = { runUid: "run-uid", attempt: 3, podUid: "pod-3", node: "node-b", generation: 1 };
  await restoreRun(await pod.trainer.store(), { ...who, expected: nothingRecorded, objectStore: tiers.remote });
  await expect(judge.judge(ref, never)).rejects.toThrow(FencedError);
  expect(await verifyCheckpoint(store, ref)).toMatchObject({ ok: false });
});
