import { mkdir, readlink, rename, rm, symlink } from "node:fs/promises";
import { dirname } from "node:path";

/**
 * Makes `link` lead to the checkpoint's directory, or removes it when there is nothing to resume. A reader finds the
 * old link, the new one or none, never half of one; a link left by an earlier life of the pod never survives.
 */
export async function pointResumeAt(link: string, directory: string | null): Promise<void> {
  if (directory === null) {
    await rm(link, { force: true });
    return;
  }
  if ((await currentTarget(link)) === directory) return;
  const temporary = `${link}.${process.pid}.tmp`;
  await mkdir(dirname(link), { recursive: true });
  await rm(temporary, { force: true });
  await symlink(directory, temporary);
  await rename(temporary, link);
}

async function currentTarget(link: string): Promise<string | null> {
  try {
    return await readlink(link);
  } catch {
    return null;
  }
}
