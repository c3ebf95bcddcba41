import { readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { appendRecord, appendRecordAfter, FencedError } from "@trainingrun/checkpoint/log/append.ts";
import { restoreRun } from "@trainingrun/checkpoint/restore.ts";
import { DirectoryStore } from "@trainingrun/checkpoint/store/directory-store.ts";
import { StorageUnavailableError, type StoredCheckpoint } from "@trainingrun/checkpoint/store/store.ts";
import { verifyCheckpoint } from "@trainingrun/checkpoint/verify.ts";
import { beforeEach, describe, expect, test, vi } from "vitest";
import { keepMany, ServingPod, savedPod } from "../../test/mirror-scene.ts";
import { nothingRecorded } from "../../test/sample.ts";
import { CheckpointJudge } from "./keeper-verdict.ts";

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

/** What is done to a copy when it is whole and durable and has no place yet. */
type Deed = (copy: StoredCheckpoint) => Promise<void> | void;

/** A volume on which something happens just before a copy takes its place. */
const meddling = (deed: Deed) =>
  class extends DirectoryStore {
    override async begin(place: { step: number; attempt: number }) {
      const writer = await super.begin(place);
      const publish = writer.publish.bind(writer);
      writer.publish = (manifest, options = { replace: false }) => {
        const confirm = async (copy: StoredCheckpoint) => {
          await deed(copy);
          await options.confirm?.(copy);
        };
        return publish(manifest, { ...options, confirm });
      };
      return writer;
    }
  };

/** A pod whose oldest checkpoint is damaged, and whole in the object store; and a judge with another store on its volume. */
async function judged(Volume: typeof DirectoryStore = DirectoryStore) {
  const { tiers, pod: first, saved } = await savedPod([10, 20]);
  await first.mirrorUntil(() => first.mirror.settled);
  const pod = await ServingPod.start(tiers, 2, keepMany);
  const { environment } = pod;
  const store = new Volume(environment.TRAININGRUN_CHECKPOINTS, "run-uid");
  const judge = new CheckpointJudge({ environment, store, openMirror: (signal) => tiers.open(signal) });
  await pod.look();
  const { state } = pod.keeper.findings;
  const [ref] = state.checkpoints;
  const [oldest] = saved;
  if (ref === undefined || oldest === undefined) throw new Error("nothing was saved");
  const path = join(store.root, "data", oldest.directory, "state.json");
  const whole = readFileSync(path);
  const damage = () => pod.trainer.damage(oldest);
  judge.follow(state);
  const fates = () => [...judge.entries.values()].map(({ fate }) => fate);
  const mend = async (isWanted = async () => false, leisure = never) => {
    await judge.read(ref, never);
    const [entry] = judge.entries.values();
    if (entry === undefined) throw new Error("nothing to mend");
    return judge.mend(entry, { signal: never, leisure, isWanted });
  };
  return { tiers, pod, store, judge, ref, path, whole, damage, mend, fates };
}

test("a commit that is not durable for certain is not said to be whole (I3)", async () => {
  const { pod, judge } = await judged(UnsyncedStore);
  await pod.save(30);
  const [own] = pod.keeper.findings.state.checkpoints.slice(-1);
  if (own === undefined) throw new Error("nothing was saved");
  await expect(judge.read(own, never)).rejects.toThrow("the record cannot be synced");
});

test("a commit that a later open carries is durable with that", async () => {
  const { judge, ref } = await judged(UnsyncedStore);
  expect(await judge.read(ref, never)).toMatchObject({ ok: true });
});

describe("What is mended", () => {
  test("takes its place when it was read back", async () => {
    const { store, ref, damage, mend, fates } = await judged();
    damage();
    expect(await mend()).toMatchObject({ ok: true });
    expect([fates(), await verifyCheckpoint(store, ref)]).toMatchObject([[], { ok: true }]);
  });

  test("leaves the old copy where it does not stay whole itself", async () => {
    const spoil: Deed = ({ location }) => {
      const path = join(location, "state.json");
      writeFileSync(path, readFileSync(path).fill(0, 0, 1));
    };
    const { store, path, damage, mend, fates } = await judged(meddling(spoil));
    damage();
    const before = readFileSync(path);
    expect(await mend()).toMatchObject({ ok: false, reason: "BytesDiffer" });
    expect(fates()).toEqual(["NotKept"]);
    expect(before.equals(readFileSync(path))).toBe(true);
    expect(readdirSync(join(store.root, "data")).filter((name) => name.startsWith("."))).toEqual([]);
  });

  test("leaves the copy in its place that matches by then", async () => {
    const scene = { heal: () => {} };
    const { path, whole, damage, mend, fates } = await judged(meddling(() => scene.heal()));
    damage();
    const healed = `${path}.healed`;
    scene.heal = () => {
      writeFileSync(healed, whole);
      renameSync(healed, path);
    };
    expect(await mend()).toMatchObject({ ok: true });
    expect([fates(), readFileSync(path).equals(whole)]).toEqual([[], true]);
  });

  test("takes no place once another attempt has opened the log (I1)", async () => {
    const scene: { deed: Deed } = { deed: () => {} };
    const { pod, ref, path, damage, mend } = await judged(meddling((copy) => scene.deed(copy)));
    damage();
    const before = readFileSync(path);
    const open = {
      kind: "open",
      attempt: 3,
      podUid: "pod-3",
      node: "node-b",
      base: ref.digest,
      generation: 1,
    } as const;
    scene.deed = async () => {
      const after = (await pod.trainer.state()).last;
      await appendRecordAfter(await pod.trainer.store(), { ...open, chosen: false }, { after });
    };
    await expect(mend()).rejects.toThrow(FencedError);
    expect(before.equals(readFileSync(path))).toBe(true);
  });

  test("says nothing of the volume where another attempt's sweep has taken it away", async () => {
    const scene: { deed: Deed } = { deed: () => {} };
    const { tiers, pod, path, damage, mend, fates } = await judged(meddling((copy) => scene.deed(copy)));
    damage();
    const before = readFileSync(path);
    const who = { runUid: "run-uid", attempt: 3, podUid: "pod-3", node: "node-b", generation: 1 };
    scene.deed = async () => {
      await restoreRun(await pod.trainer.store(), { ...who, expected: nothingRecorded, objectStore: tiers.remote });
    };
    await expect(mend()).rejects.toThrow(StorageUnavailableError);
    expect([fates(), before.equals(readFileSync(path))]).toEqual([["Doubted"], true]);
  });

  test("takes no place once the log names it no more (I6)", async () => {
    const scene: { deed: Deed } = { deed: () => {} };
    const { pod, ref, path, damage, mend, fates } = await judged(meddling((copy) => scene.deed(copy)));
    damage();
    const before = readFileSync(path);
    const tombstone = { kind: "delete" as const, attempt: 2, manifests: [ref.digest], why: "retention" };
    scene.deed = async () => void (await appendRecord(await pod.trainer.store(), tombstone));
    expect(await mend()).toBeNull();
    expect([fates(), before.equals(readFileSync(path))]).toEqual([["PutOff"], true]);
  });

  test("is not begun where nobody has another copy, however little room there is", async () => {
    const { tiers, damage, mend, fates, ref } = await judged();
    damage();
    await tiers.remote.remove(ref.directory);
    expect(await mend()).toMatchObject({
      ok: false,
      message: expect.stringContaining("the object store does not help"),
    });
    expect(fates()).toEqual(["Held"]);
  });

  test("is broken off when something more urgent comes up, and leaves nothing behind", async () => {
    const { tiers, store, damage, mend, fates } = await judged();
    damage();
    const stop = new AbortController();
    const { open } = tiers;
    tiers.open = (signal) => {
      stop.abort();
      return open(signal);
    };
    expect(await mend(async () => false, stop.signal)).toBeNull();
    expect([fates(), readdirSync(join(store.root, "data")).filter((name) => name.startsWith("."))]).toEqual([
      ["PutOff"],
      [],
    ]);
  });
});
