import { controlFiles } from "@trainingrun/checkpoint/contract/control-files.ts";
import { Restored } from "@trainingrun/checkpoint/contract/restored.ts";
import { parseDirectoryName } from "@trainingrun/checkpoint/directory-name.ts";
import { manifestName } from "@trainingrun/checkpoint/file-path.ts";
import { type LogRecord, parseRecord } from "@trainingrun/checkpoint/log/record.ts";
import { parseRecordName, recordName } from "@trainingrun/checkpoint/store/log-names.ts";
import { agentName, claimVolumeName, restoreName, scratchVolumeName } from "@trainingrun/operator/api/template.ts";
import type { FileWitness } from "../host/files-access.ts";
import type { History, PodPart, StoreName } from "../judge/history.ts";
import { fieldsOf, isFields, listOf } from "./api/object.ts";
import type { Onlooker } from "./cluster/kubelet-home.ts";
import type { Volume } from "./cluster/volumes.ts";
import { jsonOf } from "./disk/content.ts";
import type { Disk } from "./disk/disk.ts";
import { lackingDurability } from "./disk/durability.ts";
import type { DirectoryInode, Inode } from "./disk/inode.ts";
import { ShardFacts } from "./shard-facts.ts";
import type { BucketChange } from "./told-bucket.ts";

const checkpoints = "/trainingrun/checkpoints/";
const data = `${checkpoints}data/`;
const control = "/trainingrun/control/";
const own = "/trainingrun/";
const changing: readonly string[] = ["link", "rename", "unlink", "mkdir", "symlink"];

type Seen = Parameters<Onlooker>[0];
type Commit = Extract<LogRecord, { kind: "commit" }>;

/** Reads out of what the processes of pods do to their files, and say to operators, what the judge wants to know of it. */
export class Facts {
  readonly #history: History;
  /** Whose agent listens, or listened last, at an address. */
  readonly #agents = new Map<string, Seen>();
  /** Pods whose agents have told that they suspect their nodes. */
  readonly #suspecting = new Set<string>();
  /** What an agent has opened of a checkpoint, to read it back. */
  readonly #read = new Map<string, Set<string>>();
  /** The file under each number of a log, as far as it has been told. */
  readonly #records = new Map<string, Inode>();
  readonly #shards: ShardFacts;
  /** What a trainer had in memory as it began its save. */
  readonly #saving = new Map<string, Readonly<{ step: number; content: string }>>();
  readonly #doneListeners = new Set<(part: PodPart) => void>();
  /** Whose process it is, by its key. */
  readonly #parts = new Map<string, PodPart>();
  /** Records that the bucket has, and checkpoints that it is losing, by key. */
  readonly #inBucket = new Set<string>();
  readonly #leaving = new Set<string>();
  /** Whether nothing has been wrong with the object store for long. */
  isStoreWell = false;

  constructor(history: History) {
    this.#history = history;
    this.#shards = new ShardFacts(history);
  }

  /** A trainer begins to save. */
  saving(part: PodPart, what: Readonly<{ step: number; content: string }>): void {
    this.#saving.set(part.pod, what);
    this.#shards.saving(part, what);
  }

  /** Tells of every trainer that has left word that it is done, until the function returned is called. */
  onDone(told: (part: PodPart) => void): () => void {
    this.#doneListeners.add(told);
    return () => void this.#doneListeners.delete(told);
  }

  /** Looks at what one process does to its files. */
  watch(seen: Seen): FileWitness {
    this.#parts.set(seen.process.key, seen.part);
    if (seen.container === agentName) this.#agents.set(seen.address, seen);
    return (phase, { call, path }) => {
      if (phase === "before" || path === null) return;
      if (call === "open" && path.startsWith(data)) this.#opened(seen, path.slice(data.length));
      if (!changing.includes(call)) return;
      if (path.startsWith(checkpoints)) this.#inStore(seen, { call, name: path.slice(checkpoints.length) });
      else if (path === `${control}${controlFiles.restored}`) this.#handedOver(seen);
      else if (path.startsWith(control)) this.#left(seen, call);
      else if (!path.startsWith(own) && path !== own.slice(0, -1)) {
        this.#history.note({ kind: "Trespass", ...seen.part, path });
      }
    };
  }

  /** An agent has answered an operator. */
  agentAnswered(
    address: string,
    { operator, ...asked }: Readonly<{ operator: string; askedRun: string; askedPod: string; taken: boolean }>,
  ): void {
    const agent = this.#agents.get(address);
    if (agent === undefined) return;
    this.#history.note({ kind: "AgentAnswered", ...agent.part, by: { role: "Operator", name: operator }, ...asked });
  }

  /** An agent has told an operator what is wrong with its storage. */
  agentComplained(address: string, problems: unknown): void {
    const agent = this.#agents.get(address);
    const isSuspicion = listOf(problems).some((problem) => fieldsOf(problem).reason === "NodeSuspect");
    if (agent === undefined || !isSuspicion || this.#suspecting.has(agent.part.pod)) return;
    this.#suspecting.add(agent.part.pod);
    this.#history.note({ kind: "NodeSuspected", ...agent.part });
  }

  /** An agent has told an operator what it lacks in the object store. */
  agentTold(address: string, mirror: unknown): void {
    const agent = this.#agents.get(address);
    if (agent === undefined || !isFields(mirror)) return;
    const { lagSteps, lagSeconds } = mirror;
    if (typeof lagSteps !== "number" || typeof lagSeconds !== "number") return;
    this.#history.note({ kind: "Lag", ...agent.part, steps: lagSteps, dueSeconds: lagSeconds });
  }

  /** Something became of an object of a bucket, at the request of a process. */
  inBucket(store: StoreName, { key, bytes }: BucketChange, client: string | undefined): void {
    const [run = "", folder, name = ""] = key.split("/");
    const by = this.#parts.get(client ?? "") ?? { run, attempt: 0, worker: 0, pod: "" };
    const number = folder === "log" ? parseRecordName(name) : null;
    if (number !== null && bytes === null && this.#inBucket.delete(key)) {
      this.#history.note({ kind: "RecordsGone", store, run, numbers: [number], why: "Pruned" });
    }
    if (number !== null && bytes !== null && !this.#inBucket.has(key)) {
      this.#inBucket.add(key);
      const read = parseRecord(number, bytes.slice());
      if ("record" in read) this.#history.note({ kind: "Record", store, run, number, record: read.record, by });
    }
    if (folder !== "data") return;
    const directory = `${run}/${name}`;
    if (bytes !== null) this.#leaving.delete(directory);
    else if (!this.#leaving.has(directory)) {
      this.#leaving.add(directory);
      this.#history.note({ kind: "Removed", store, run, directory: name, by });
    }
  }

  /** A volume has lost what was not synced: some of its records may be gone, or not be what they were. */
  powerCut({ name, disk }: Volume): void {
    const store = `volume/${name}` as const;
    for (const key of this.#records.keys()) {
      const [of, run = "", number = 0] = key.split(" ");
      if (of !== store) continue;
      const numbers = [Number(number)];
      const left = inodeAt(disk, `${run}/log/${recordName(Number(number))}`);
      const isWhole = left?.kind === "file" && "record" in parseRecord(Number(number), left.content.seen.slice());
      if (isWhole) this.#records.set(key, left);
      else {
        this.#records.delete(key);
        this.#history.note({ kind: "RecordsGone", store, run, numbers, why: "Cut" });
        if (left !== null) this.#history.note({ kind: "RecordsGone", store, run, numbers, why: "Damaged" });
      }
    }
  }

  #left({ container, part, volumes }: Seen, call: string): void {
    if (call !== "rename" || container === agentName) return;
    const disk = volumes.get(scratchVolumeName)?.disk;
    const done = disk === undefined ? null : inodeAt(disk, `control/${controlFiles.done}`);
    if (done?.kind === "file") for (const told of this.#doneListeners) told(part);
  }

  /** Whoever has opened all of a checkpoint's files and is not its writer's program has read it back. */
  #opened(seen: Seen, name: string): void {
    const { store, part, container, volumes } = seen;
    const disk = volumes.get(claimVolumeName)?.disk;
    const [directory = "", ...path] = name.split("/");
    const isReader = container === agentName || container === restoreName;
    if (!isReader || path.length === 0 || disk === undefined || parseDirectoryName(directory) === null) return;
    const file = path.join("/");
    const inode = inodeAt(disk, `${seen.below}data/${directory}`);
    if (inode?.kind !== "directory") return;
    const key = `${part.pod} ${directory}`;
    const read = this.#read.get(key) ?? new Set();
    this.#read.set(key, read);
    const isNew = !read.has(file);
    read.add(file);
    if (!isNew || filesBelow(inode).some((each) => !read.has(each))) return;
    const manifest = inode.seen.get(manifestName);
    const { digest, step } = manifest?.kind === "file" ? fieldsOf(jsonOf(manifest.content.seen)) : {};
    if (typeof digest !== "string" || typeof step !== "number") return;
    this.#history.note({ kind: "Verified", ...part, store, step, digest });
  }

  #inStore(seen: Seen, { call, name }: { call: string; name: string }): void {
    const { store, part } = seen;
    const disk = seen.volumes.get(claimVolumeName)?.disk;
    if (disk === undefined) return;
    const [folder, first = "", second, third] = name.split("/");
    const found = inodeAt(disk, `${seen.below}${name}`);
    if (folder === "log" && second === undefined) this.#inLog(seen, { call, name: first, found });
    if (folder !== "data") return;
    if (second !== undefined && call === "rename" && found !== null) {
      this.#shards.named({ path: [first, second, ...(third === undefined ? [] : [third])], found, store, part });
    }
    if (second === manifestName && call === "rename" && found !== null) this.#sealed({ store, part }, found);
    const removed = /^\.trash-(step-\d+-a\d+)-/.exec(first)?.[1] ?? (call === "unlink" ? first : undefined);
    // One that found nothing to rename is told as well.
    const isRenamed = second === undefined && call === "rename" && found !== null;
    if (removed === undefined || !(isRenamed || (call === "unlink" && /^step-/.test(first)))) return;
    // A checkpoint that is repaired makes way for its like.
    const others = inodeAt(disk, `${seen.below}data`);
    const isReplaced = others?.kind === "directory" && [...others.seen.keys()].some((each) => isFor(each, removed));
    if (!isReplaced) this.#history.note({ kind: "Removed", store, run: part.run, directory: removed, by: part });
  }

  #inLog(seen: Seen, { call, name, found }: Readonly<{ call: string; name: string; found: Inode | null }>): void {
    const number = parseRecordName(name);
    if (number === null) return;
    const { store, part } = seen;
    const key = `${store} ${part.run} ${number}`;
    if (call === "unlink" && found === null && this.#records.delete(key)) {
      this.#history.note({ kind: "RecordsGone", store, run: part.run, numbers: [number], why: "Pruned" });
    }
    // Written once more, with the same bytes.
    if (call === "rename" && found !== null && this.#records.has(key)) this.#records.set(key, found);
    if (call !== "link" || found?.kind !== "file" || this.#records.get(key) === found) return;
    this.#records.set(key, found);
    const read = parseRecord(number, found.content.seen.slice());
    if (!("record" in read)) return;
    this.#history.note({ kind: "Record", store, run: part.run, number, record: read.record, by: part });
    if (read.record.kind === "commit") this.#committed(seen, read.record);
  }

  /** What stands on the disk of a checkpoint at the moment from which on readers take it for one. */
  #committed({ volumes, below, store, part: { run } }: Seen, { directory, attempt, step, manifest }: Commit): void {
    const disk = volumes.get(claimVolumeName)?.disk;
    const parent = disk === undefined ? null : inodeAt(disk, `${below}data`);
    const inode = parent?.kind === "directory" ? parent.seen.get(directory) : undefined;
    if (parent?.kind !== "directory" || inode?.kind !== "directory") return;
    const lacking = lackingDurability(directory, { inode, parent });
    const file = inode.seen.get(manifestName);
    const { workers } = file?.kind === "file" ? fieldsOf(jsonOf(file.content.seen)) : {};
    const of = { store, run, attempt, step, digest: manifest, lacking };
    this.#history.note({ kind: "Committed", ...of, workers: typeof workers === "number" ? workers : 1 });
  }

  #sealed({ store, part }: Readonly<{ store: StoreName; part: PodPart }>, manifest: Inode): void {
    const saving = this.#saving.get(part.pod);
    if (saving === undefined || manifest.kind !== "file") return;
    const { digest, step } = fieldsOf(jsonOf(manifest.content.seen));
    if (typeof digest !== "string" || step !== saving.step) return;
    this.#history.note({ kind: "Sealed", ...part, store, digest, ...saving });
  }

  #handedOver({ part, store, volumes }: Seen): void {
    const disk = volumes.get(scratchVolumeName)?.disk;
    const file = disk === undefined ? null : inodeAt(disk, `control/${controlFiles.restored}`);
    if (file?.kind !== "file") return;
    const resume = Restored.safeParse(jsonOf(file.content.seen)).data?.resume;
    if (resume === undefined) return;
    const from = resume === null ? null : { step: resume.step, digest: resume.digest };
    this.#history.note({ kind: "Restored", ...part, store, resume: from });
  }
}

/** What lies under a path of a disk, faults or not. */
export function inodeAt(disk: Disk, path: string): Inode | null {
  let at: Inode | undefined = disk.root;
  for (const name of path.split("/").filter(Boolean)) at = at?.kind === "directory" ? at.seen.get(name) : undefined;
  return at ?? null;
}

function isFor(name: string, directory: string): boolean {
  return name.startsWith(".settling-") && name.endsWith(`-${directory}`);
}

/** The files of a directory and of those in it, by their paths. */
function filesBelow({ seen }: DirectoryInode): string[] {
  return [...seen].flatMap(([name, inode]) =>
    inode.kind === "directory" ? filesBelow(inode).map((path) => `${name}/${path}`) : [name],
  );
}
