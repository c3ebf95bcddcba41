import { lstat, mkdir, symlink } from "node:fs/promises";
import { dirname, join, posix } from "node:path";

/** A path as the container knows it, and where it really is on this machine. */
export interface Mount {
  readonly mountPath: string;
  readonly hostPath: string;
}

/**
 * Rewrites every path in a text that lies in a mount to the place where it really is: a process has no mounts, it sees
 * this machine's file system. Where mounts are nested, the innermost wins.
 *
 *     /trainingrun             -> /n1/pods/u/volumes/work
 *     /trainingrun/checkpoints -> /claims/c
 *
 *     --from=/trainingrun/control:/trainingrun/checkpoints/7
 *     --from=/n1/pods/u/volumes/scratch/control:/claims/c/7
 *
 * A mount path counts only as a whole path or its beginning: neither "/trainingrun-2" nor "s3://b/trainingrun" is
 * touched.
 */
export function rewritePaths(text: string, mounts: readonly Mount[]): string {
  const hostPaths = new Map(mounts.map((mount) => [trimmed(mount.mountPath), mount.hostPath]));
  const paths = [...hostPaths.keys()].filter((path) => path !== "/").sort((a, b) => b.length - a.length);
  if (paths.length === 0) return text;
  const anyPath = new RegExp(`(?<![\\w./-])(?:${paths.map(escaped).join("|")})(?![\\w.-])`, "g");
  return text.replace(anyPath, (path) => hostPaths.get(path) ?? path);
}

/**
 * Makes mounts that lie inside other mounts visible to a program that walks there from the outer one: a link in the
 * outer directory. A name that is already taken is left as it is; {@link rewritePaths} needs no link.
 */
export async function linkNestedMounts(mounts: readonly Mount[]): Promise<void> {
  const outermostFirst = [...mounts].sort((a, b) => a.mountPath.length - b.mountPath.length);
  for (const inner of outermostFirst) {
    const outer = outermostFirst.findLast((other) => isInside(inner.mountPath, other.mountPath));
    if (outer === undefined) continue;
    const link = join(outer.hostPath, posix.relative(trimmed(outer.mountPath), trimmed(inner.mountPath)));
    await mkdir(dirname(link), { recursive: true });
    if (await isFree(link)) await symlink(inner.hostPath, link);
  }
}

function isInside(path: string, directory: string): boolean {
  return trimmed(path).startsWith(`${trimmed(directory)}/`);
}

function trimmed(path: string): string {
  return posix.resolve("/", path);
}

function escaped(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&");
}

async function isFree(path: string): Promise<boolean> {
  return lstat(path).then(
    () => false,
    () => true,
  );
}
