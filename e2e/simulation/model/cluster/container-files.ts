import type { Container } from "../../../cluster/process-node/pod/pod.ts";
import { plantTree } from "../disk/cut.ts";
import type { Disk } from "../disk/disk.ts";
import type { Mount } from "../disk/namespace.ts";

/** Where a volume of a pod lies. */
export type PodVolumes = ReadonlyMap<string, Readonly<{ disk: Disk; readOnly: boolean }>>;

const messageName = "termination-log";
const messageBytes = 4_096;
const logBytes = 2_048;

/** The root of a container, as it is before its program starts: an image with nothing in it that a program would look for. */
export function plantRoot(disk: Disk): Disk {
  plantTree(disk, new Map([["dev", null]]));
  return disk;
}

/** What a container sees of files. */
export function mountsOf(container: Container, { root, volumes }: { root: Disk; volumes: PodVolumes }): Mount[] {
  return [
    { path: "/", disk: root },
    ...container.volumeMounts.flatMap(({ name, mountPath, subPath }) => {
      const volume = volumes.get(name);
      if (volume === undefined) throw new Error(`Cannot mount ${name} at ${mountPath}: the pod has no such volume`);
      return [{ path: mountPath, ...volume, ...(subPath === "" ? {} : { below: subPath }) }];
    }),
  ];
}

/** What a container that has ended left in its message file, or where it wants that after an error, its last lines. */
export function lastWords(
  container: Container,
  ended: Readonly<{ root: Disk; output: readonly string[]; exitCode: number }>,
): string {
  const devices = ended.root.root.seen.get("dev");
  const file = devices?.kind === "directory" ? devices.seen.get(messageName) : undefined;
  const message = file?.kind === "file" ? textOf(file.content.seen.subarray(0, messageBytes)) : "";
  const wantsLog = container.terminationMessagePolicy === "FallbackToLogsOnError" && ended.exitCode !== 0;
  if (message !== "" || !wantsLog) return message;
  return ended.output.join("\n").slice(-logBytes);
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("utf8");
}
