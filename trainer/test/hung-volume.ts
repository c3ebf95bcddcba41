import { execFileSync } from "node:child_process";
import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { join } from "node:path";
import { DirectoryStore } from "@trainingrun/checkpoint/store/directory-store.ts";
import { onTestFinished } from "vitest";

/**
 * The next `saves` wait in the kernel, in the opening of a pipe that nobody reads, from their first look at the volume on
 * until what is returned is called; with the end of the test it is. `settled`: what has to be waited for after that.
 */
export function hangSaves(
  store: DirectoryStore,
  saves: number,
  settled: () => unknown = () => undefined,
): () => Promise<void> {
  const pipe = join(store.root, "pipe");
  execFileSync("mkfifo", [pipe]);
  let left = saves;
  store.names = async () => {
    left -= 1;
    if (left >= 0) await (await open(pipe, "w")).close();
    return DirectoryStore.prototype.names.call(store);
  };
  let reader: Promise<FileHandle> | null = null;
  const answer = async () => {
    reader ??= open(pipe, constants.O_RDWR);
    await reader;
  };
  onTestFinished(async () => {
    await answer();
    await settled();
    await (await reader)?.close();
  });
  return answer;
}
