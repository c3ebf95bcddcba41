import { randomUUID } from "node:crypto";
import { readlink, rename, symlink, unlink } from "node:fs/promises";
import { join } from "node:path";
import { absentAsNull, accessing, errorCode, syncDirectory } from "./file-system.ts";
import type { CheckpointName } from "./store.ts";

/** Before a link that has not got its name yet. */
export const temporaryName = ".name-";

/**
 * Makes `<root>/latest`, say, a link to a checkpoint, by a rename, so that who follows it finds the one or the other. Where
 * the file system has no symbolic links there is no such name.
 */
export function pointName(root: string, name: CheckpointName, directory: string | null): Promise<void> {
  const path = join(root, name);
  return accessing("move a name", path, async () => {
    const target = directory === null ? null : join("data", directory);
    if ((await targetOf(path)) === target) return;
    if (target === null) await absentAsNull(() => unlink(path));
    else if (!(await replace(root, path, target))) return;
    await syncDirectory(root);
  });
}

/** Where the link leads; null where there is none, and undefined for what is no link. */
async function targetOf(path: string): Promise<string | null | undefined> {
  try {
    return await absentAsNull(() => readlink(path));
  } catch (error) {
    if (errorCode(error) === "EINVAL") return undefined;
    throw error;
  }
}

async function replace(root: string, path: string, target: string): Promise<boolean> {
  const temporary = join(root, `${temporaryName}${randomUUID()}`);
  try {
    await symlink(target, temporary);
    await rename(temporary, path);
    return true;
  } catch (error) {
    await absentAsNull(() => unlink(temporary));
    if (withoutLinks.has(errorCode(error) ?? "")) return false;
    throw error;
  }
}

const withoutLinks = new Set(["EPERM", "ENOSYS", "ENOTSUP", "EOPNOTSUPP"]);
