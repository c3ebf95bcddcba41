import { claims } from "@trainingrun/operator/kubernetes/resource.ts";
import type { Fault, FaultName } from "../../plan/faults.ts";
import { type Damage, type DiskFault, damageFile } from "../disk/faults.ts";
import type { FileInode, Inode } from "../disk/inode.ts";
import type { FaultActs } from "../fault-acts.ts";
import type { Act } from "./act.ts";

/** What becomes of the volume of a run, and of what lies on it. */
export const volumeActs = {
  BitFlipped: onFile((size, place) => ({ kind: "FlipBit", bit: place % (8 * size) })),
  FileTruncated: onFile((size, place) => ({ kind: "CutTail", bytes: 1 + (place % size) })),
  TailZeroed: onFile((size, place) => ({ kind: "ZeroTail", bytes: 1 + (place % size) })),
  VolumeFull: onDisk(() => ({ fails: "ENOSPC" })),
  VolumeFails: onDisk(({ args: { times = 1 } }) => ({ fails: "EIO", times })),
  VolumeReadOnly: onDisk(() => ({ fails: "EROFS" })),
  VolumeSlow: onDisk(({ args: { slowMs = 10 } }) => ({ slowMs, calls: ["open", "fsync", "rename", "link"] })),
  ChangesUntold: onDisk(() => ({ silences: true })),
  /** By a person: it goes once no pod names it, and its volume with it. */
  ClaimDeleted: (acts, fault) => {
    const { world } = acts;
    const claim = world.claimOf(fault.target);
    if (claim === undefined || claim.metadata.deletionTimestamp !== undefined) return null;
    acts.met(fault);
    const { namespace, name, uid } = claim.metadata;
    world.user.does((api) => api.remove({ resource: claims, namespace, name }, { uid }));
    return null;
  },
} as const satisfies Partial<Record<FaultName, Act>>;

/** A fault of the disk of the run's volume, which has met something once a call came to feel it. */
function onDisk(faultOf: (fault: Fault) => DiskFault): Act {
  return (acts, fault) => {
    const disk = acts.world.volumeOf(fault.target)?.disk;
    if (disk === undefined) return null;
    const standing = disk.faults.add(faultOf(fault));
    return () => {
      standing.lift();
      if (standing.fired > 0) acts.met(fault);
    };
  };
}

/** Damage to one durable file of one of the run's checkpoints: with it, or after it has left the memory of its node. */
function onFile(damageOf: (size: number, place: number) => Damage): Act {
  return (acts, fault) => {
    const { place = 0 } = fault.args;
    const files = filesOfCheckpoints(acts, fault);
    const file = files[place % Math.max(1, files.length)];
    if (file === undefined) return null;
    acts.met(fault);
    damageFile(file, damageOf(file.content.size, place), { cache: place % 2 === 0 ? "evicted" : "kept" });
    return null;
  };
}

function filesOfCheckpoints({ world }: FaultActs, { target }: Fault): readonly FileInode[] {
  const { uid } = world.run(target)?.metadata ?? {};
  const root = world.volumeOf(target)?.disk.root.seen.get(uid ?? "");
  const data = root?.kind === "directory" ? root.seen.get("data") : undefined;
  return filesBelow(data).filter(({ content }) => content.isDurable && content.size > 0);
}

function filesBelow(inode: Inode | undefined): readonly FileInode[] {
  if (inode?.kind === "file") return [inode];
  return inode?.kind === "directory" ? [...inode.seen.values()].flatMap(filesBelow) : [];
}
