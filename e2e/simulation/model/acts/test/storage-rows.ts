import { DiskView } from "../../disk/disk-view.ts";
import { FileError } from "../../disk/file-error.ts";
import type { FileInode, Inode } from "../../disk/inode.ts";
import type { OpenMode } from "../../disk/open-file.ts";
import type { ActRow } from "./act-row.ts";
import { runName, type Scene } from "./scene.ts";

const newFile: OpenMode = {
  ...{ read: false, write: true, create: true, exclusive: true },
  ...{ truncate: false, append: false, directory: false, noFollow: false, direct: false },
};

/** The volume of the run as another process on some node has it. */
function view(scene: Scene): DiskView {
  const disk = scene.world.volumeOf(runName)?.disk;
  if (disk === undefined) throw new Error("Cannot look at the volume because the run has none");
  return new DiskView({ node: "probe", mounts: [{ path: "/", disk }] });
}

/** What comes of making a file on the volume, and of reading there. */
function tries(scene: Scene): readonly string[] {
  const [seen, path] = [view(scene), `/${scene.newKey()}`];
  return [outcomeOf(() => seen.open(path, newFile)), outcomeOf(() => seen.readdir("/"))];
}

function outcomeOf(act: () => unknown): string {
  try {
    act();
    return "done";
  } catch (error) {
    if (error instanceof FileError) return error.code;
    throw error;
  }
}

/** Files of checkpoints, as they were when a scene began. */
const kept = new WeakMap<Scene, readonly Readonly<{ file: FileInode; seen: Buffer; onDevice: Buffer }>[]>();

function keepFiles(scene: Scene): void {
  const { uid = "" } = scene.run?.metadata ?? {};
  const root = scene.world.volumeOf(runName)?.disk.root.seen.get(uid);
  const files = filesBelow(root?.kind === "directory" ? root.seen.get("data") : undefined);
  kept.set(
    scene,
    files.map((file) => ({ file, seen: Buffer.from(file.content.seen), onDevice: Buffer.from(file.content.onDevice) })),
  );
}

function filesBelow(inode: Inode | undefined): readonly FileInode[] {
  if (inode?.kind === "file") return [inode];
  return inode?.kind === "directory" ? [...inode.seen.values()].flatMap(filesBelow) : [];
}

/** How many files are other ones on the device and to readers, and by how many bytes they are shorter. */
function damage(scene: Scene): unknown {
  const files = kept.get(scene) ?? [];
  return {
    onDevice: files.filter(({ file, onDevice }) => !onDevice.equals(file.content.onDevice)).length,
    seen: files.filter(({ file, seen }) => !seen.equals(file.content.seen)).length,
    shorter: files.reduce((sum, { file, seen }) => sum + seen.byteLength - file.content.size, 0),
    isKnown: files.length > 0,
  };
}

const whole = { onDevice: 0, seen: 0, shorter: 0, isKnown: true };

function damaging(kind: ActRow["kind"], rest: Pick<ActRow, "does" | "args" | "during">): ActRow {
  return { kind, beginning: { intervalSteps: 1 }, first: keepFiles, look: damage, before: whole, ...rest };
}

/** Acts on the volume of a run. */
export const volumeRows: readonly ActRow[] = [
  damaging("BitFlipped", {
    does: "changes one file on the device and to its readers",
    args: { place: 16 },
    during: { ...whole, onDevice: 1, seen: 1 },
  }),
  damaging("BitFlipped", {
    does: "changes one file on the device, whose readers still have the old bytes in memory",
    args: { place: 17 },
    during: { ...whole, onDevice: 1 },
  }),
  damaging("FileTruncated", {
    does: "takes the end of one file",
    args: { place: 0 },
    during: { ...whole, onDevice: 1, seen: 1, shorter: 1 },
  }),
  damaging("TailZeroed", {
    does: "makes the end of one file zeroes, and leaves its size",
    args: { place: 8 },
    during: { ...whole, onDevice: 1, seen: 1 },
  }),
  {
    kind: "VolumeFull",
    does: "leaves no room on the volume, which can still be read",
    look: tries,
    before: ["done", "done"],
    during: ["ENOSPC", "done"],
    lift: { after: ["done", "done"] },
  },
  {
    kind: "VolumeFails",
    does: "has every call fail, as often as is said",
    args: { times: 2 },
    look: (scene) => [...tries(scene), ...tries(scene)],
    before: ["done", "done", "done", "done"],
    during: ["EIO", "EIO", "done", "done"],
    lift: { after: ["done", "done", "done", "done"] },
  },
  {
    kind: "VolumeReadOnly",
    does: "refuses changes, and nothing else",
    look: tries,
    before: ["done", "done"],
    during: ["EROFS", "done"],
    lift: { after: ["done", "done"] },
  },
  {
    kind: "VolumeSlow",
    does: "has the calls that wait for the device take so long",
    args: { slowMs: 700 },
    look: (scene) => [view(scene).slowness("fsync", "/"), view(scene).slowness("read", "/")],
    before: [0, 0],
    during: [700, 0],
    lift: { after: [0, 0] },
  },
  {
    kind: "ChangesUntold",
    does: "keeps who watches a directory from hearing of changes",
    look: (scene) => {
      const [seen, heard] = [view(scene), [] as string[]];
      seen.watch("/", (event) => void heard.push(event));
      seen.mkdir(`/${scene.newKey()}`);
      return heard;
    },
    before: ["rename"],
    during: [],
    lift: { after: ["rename"] },
  },
  {
    kind: "ClaimDeleted",
    does: "has a person delete the claim, which pods still hold",
    look: (scene) => scene.world.claimOf(runName)?.metadata.deletionTimestamp !== undefined,
    before: false,
    during: true,
  },
];

const probe = "/probe";

/** What a store says to somebody who asks for an object that it has. */
async function gets(scene: Scene): Promise<string> {
  return (await scene.asksStore("GET", probe)).heard;
}

/** What it says to somebody who puts an object, and whether it has it then. */
async function puts(scene: Scene): Promise<readonly [string, boolean]> {
  const key = scene.newKey();
  const { heard } = await scene.asksStore("PUT", `/${key}`, "some bytes");
  return [heard, scene.world.bucket.objects.has(key)];
}

const first = (scene: Scene) => scene.world.bucket.put("probe", Buffer.from("ten bytes."));
const beginning = "NoRun";

/** Acts on the object store. */
export const bucketRows: readonly ActRow[] = [
  {
    kind: "BucketDown",
    does: "has every request fail before the store has done anything",
    beginning,
    first,
    look: puts,
    before: ["200", true],
    during: ["ECONNRESET", false],
    lift: { after: ["200", true] },
  },
  ...[
    { times: 1, during: ["503", "200", "200"] },
    { times: 2, during: ["500", "500", "200"] },
  ].map(
    ({ times, during }): ActRow => ({
      kind: "BucketFails",
      does: `answers so many requests with ${during[0]}`,
      beginning,
      first,
      args: { times },
      look: async (scene) => [await gets(scene), await gets(scene), await gets(scene)],
      before: ["200", "200", "200"],
      during,
      lift: { after: ["200", "200", "200"] },
    }),
  ),
  {
    kind: "BucketLosesReplies",
    does: "does what it is asked for, and its answer is lost",
    beginning,
    first,
    args: { times: 1 },
    look: puts,
    before: ["200", true],
    during: ["ECONNRESET", true],
    lift: { after: ["200", true] },
  },
  {
    kind: "BucketCutsBodies",
    does: "lets only the first bytes of an answer come",
    beginning,
    first,
    args: { bytes: 2 },
    look: async (scene) => {
      const { heard, bytes } = await scene.asksStore("GET", probe);
      return [heard, bytes];
    },
    before: ["200", 10],
    during: ["ECONNRESET", 2],
    lift: { after: ["200", 10] },
  },
  {
    kind: "BucketStalls",
    does: "takes requests and says nothing",
    beginning,
    first,
    look: gets,
    before: "200",
    during: "silence",
    lift: { after: "200" },
  },
  {
    kind: "KeysDenied",
    does: "lets nobody in",
    beginning,
    first,
    look: gets,
    before: "200",
    during: "403",
    lift: { after: "200" },
  },
  {
    kind: "BucketFull",
    does: "takes no more objects, and gives those that it has",
    beginning,
    first,
    look: async (scene) => [(await puts(scene))[0], await gets(scene)],
    before: ["200", "200"],
    during: ["403", "200"],
    lift: { after: ["200", "200"] },
  },
  {
    kind: "ListingLags",
    does: "shows new objects in listings only after a while",
    beginning,
    first,
    args: { byMs: 5_000 },
    look: async (scene) => {
      const key = scene.newKey();
      scene.world.bucket.put(key, Buffer.from("new"));
      const { text } = await scene.asksStore("GET", `?list-type=2&prefix=${key}`);
      return [text.includes(`<Key>${key}</Key>`), (await scene.asksStore("GET", `/${key}`)).heard];
    },
    before: [true, "200"],
    during: [false, "200"],
    lift: { after: [true, "200"] },
  },
  {
    kind: "AgentKilledUploading",
    does: "ends the agent over its next object but one",
    beginning: { hasBucket: true, intervalSteps: 1 },
    args: { puts: 1 },
    look: (scene) => scene.ends,
    before: [],
    afterMs: 4_000,
    during: ["agent Killed 137"],
  },
];
