import { controlFiles } from "@trainingrun/checkpoint/contract/control-files.ts";
import type { FileAccess } from "../simulation/host/files-access.ts";
import type { SimProcess } from "../simulation/host/process.ts";
import type { S3Request } from "../simulation/model/bucket/faults.ts";
import type { FileCall } from "../simulation/model/disk/file-error.ts";
import type { PlayWorld } from "../simulation/model/play-world.ts";
import type { How, Write } from "./cut.ts";
import type { Tally } from "./sim-tally.ts";

const checkpoints = "/trainingrun/checkpoints/";
const control = "/trainingrun/control/";
const lastWords = "/dev/";
/** What gives a name, or takes one. What is written to a file that has none yet, nobody finds. */
const naming: readonly FileCall[] = ["link", "mkdir", "rename", "rmdir", "symlink", "unlink"];
const changing: readonly S3Request[] = ["Put", "Remove", "BeginUpload", "PutPart", "CompleteUpload", "AbortUpload"];
const drawn = /-?[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g;

/**
 * Counts every write of a run's pods, and cuts the one that is to be: records, manifests and checkpoints on the volume, by
 * the names that they get and lose; what agent and trainer leave for each other and for the kubelet; and objects.
 */
export function cutPods(world: PlayWorld, tally: Tally): void {
  const clients = new Map<string, Readonly<{ process: SimProcess; container: string }>>();
  world.onlookers.add(({ process, container }) => {
    clients.set(process.key, { process, container });
    let how: How | null = null;
    return (phase, access) => {
      if (phase === "before") {
        const write = fileWriteOf(access, container);
        how = write === null ? null : tally.take(plainly(write, tally));
      }
      if (how === (phase === "before" ? "Before" : "After")) process.kill("at a write");
    };
  });
  world.bucket.faults.onlookers.add((request, key) => {
    const client = clients.get(world.network.asking ?? "");
    if (client === undefined || !changing.includes(request)) return null;
    const [, folder = "objects"] = key.split("/");
    const words = `${client.container} ${request} ${key}`;
    const how = tally.take(plainly({ words, kind: `${request} ${folder}`, isAnswered: true }, tally));
    if (how === null) return null;
    if (how !== "Lost") client.process.kill("at a write");
    return { breaks: how === "Before" ? "before" : "after" };
  });
}

function fileWriteOf({ call, path }: FileAccess, container: string): Write | null {
  const kind = path === null ? null : kindOf(call, path);
  return kind === null ? null : { words: `${container} ${call} ${path}`, kind, isAnswered: false };
}

/** Null for what changes nothing that another process would find. */
function kindOf(call: FileCall, path: string): string | null {
  if (path.startsWith(lastWords)) return call === "open" ? "open termination-log" : null;
  if (!naming.includes(call)) return null;
  if (path.startsWith(checkpoints))
    return `${call} ${path.slice(checkpoints.length).split("/", 1)[0]}`.replace(drawn, "");
  const isWord = path.startsWith(control) && call === "rename" && path !== `${control}${controlFiles.progress}`;
  return isWord ? `${call} ${path.slice(control.length)}` : null;
}

function plainly(write: Write, tally: Tally): Write {
  return { ...write, words: tally.plain(write.words).replaceAll(drawn, "") };
}
