import { join } from "node:path";
import { manifestName } from "@trainingrun/checkpoint/file-path.ts";
import { loadCheckpoint } from "@trainingrun/checkpoint/load.ts";
import { fold } from "@trainingrun/checkpoint/log/fold.ts";
import { readLog } from "@trainingrun/checkpoint/log/read.ts";
import { parseRecord } from "@trainingrun/checkpoint/log/record.ts";
import type { RunState } from "@trainingrun/checkpoint/log/state.ts";
import { parseManifest } from "@trainingrun/checkpoint/manifest.ts";
import { DirectoryStore } from "@trainingrun/checkpoint/store/directory-store.ts";
import { parseRecordName } from "@trainingrun/checkpoint/store/log-names.ts";
import { giveFiles } from "../host/files-access.ts";
import { SimProcess } from "../host/process.ts";
import type { StoreContents } from "../judge/history.ts";
import type { Bucket } from "./bucket/bucket.ts";
import type { Volume } from "./cluster/volumes.ts";
import { treeOf } from "./disk/cut.ts";
import { DiskView } from "./disk/disk-view.ts";
import { inodeAt } from "./facts.ts";
import type { PlayWorld } from "./play-world.ts";
import { weightsIn, weightsInFiles } from "./trainer/weights.ts";

const root = "/";
const longestLookMs = 60_000;

/** Reads what every volume holds of every run, by the library's own readers, in a process of nobody's. */
export async function lookAtVolumes(world: PlayWorld): Promise<void> {
  const { scheduler, cluster } = world;
  for (const volume of cluster.volumes.all) {
    for (const run of runsOn(volume)) {
      const process = new SimProcess(scheduler, { name: "judge" });
      const mount = { path: root, disk: volume.disk, below: run };
      giveFiles(process, new DiskView({ node: "judge", mounts: [mount] }));
      let failure: unknown;
      process.atEnd((ending) => {
        if (ending.kind === "threw") failure = ending.error;
      });
      process.start(() => look(world, { volume, run }));
      await scheduler.stepUntil(() => process.state === "dead", { untilMs: scheduler.now + longestLookMs });
      if (failure !== undefined) throw new Error(`Cannot read ${volume.name}`, { cause: failure });
    }
  }
}

/** Reads what the bucket holds of the runs that have nothing else, from its objects themselves. */
export async function lookAtBucket({ bucket, history }: PlayWorld, runUids: readonly string[]): Promise<void> {
  for (const run of runUids) {
    const keys = [...bucket.objects.keys()].filter((key) => key.startsWith(`${run}/`)).sort();
    const state = stateIn(bucket, keys);
    if (state !== null) history.note({ kind: "LogRead", store: `bucket/${bucket.name}`, run, state });
    const whole: { step: number; digest: string; content: string }[] = [];
    for (const key of keys.filter((each) => each.endsWith(`/${manifestName}`))) {
      const manifest = parseManifest(bucket.get(key));
      const content = await weightsInFiles(manifest, (path) => bucket.get(key.replace(manifestName, path)));
      whole.push({ step: manifest.step, digest: manifest.digest, content });
    }
    const store = `bucket/${bucket.name}` as const;
    history.note({ kind: "Contents", store, run, whole, files: keys.length } satisfies StoreContents);
  }
}

/** What a log in a bucket comes to, from its newest `open` on; null where there is none. */
function stateIn(bucket: Bucket, keys: readonly string[]): RunState | null {
  const records = keys.flatMap((key) => {
    const number = parseRecordName(key.slice(key.lastIndexOf("/") + 1));
    return number === null ? [] : [parseRecord(number, bucket.get(key).slice())];
  });
  const newest = records.findLastIndex((entry) => "record" in entry && entry.record.kind === "open");
  return newest < 0 ? null : fold(records.slice(newest));
}

async function look(world: PlayWorld, { volume, run }: { volume: Volume; run: string }): Promise<void> {
  const store = `volume/${volume.name}` as const;
  const { state } = await readLog(new DirectoryStore(root, run));
  world.history.note({ kind: "LogRead", store, run, state });
  const whole: { step: number; digest: string; content: string }[] = [];
  for (const { digest, directory, step } of state.checkpoints) {
    const content = await contentOf(join(root, "data", directory), digest);
    if (content !== null) whole.push({ step, digest, content });
  }
  const files = [...treeOf(volume.disk).keys()].filter((path) => path.startsWith(`${run}/`)).length;
  world.history.note({ kind: "Contents", store, run, whole, files } satisfies StoreContents);
}

/** What a checkpoint holds; null where anything of it is not as its manifest says. */
async function contentOf(directory: string, digest: string): Promise<string | null> {
  return loadCheckpoint(directory, { digest })
    .then(weightsIn)
    .catch(() => null);
}

/** The runs that have a directory with a log on the volume. */
function runsOn({ disk }: Volume): readonly string[] {
  return [...disk.root.seen.keys()].filter((name) => inodeAt(disk, `${name}/log`) !== null);
}
