import { dirname, join } from "node:path";
import { accessing, makeDirectory, syncDirectory, writeNewFile } from "./file-system.ts";

/** A directory that is being filled: each file's bytes are durable once written, all the names once `sync` has returned. */
export class DirectoryTree {
  readonly path: string;
  /** Below it, and when each is there: files that are written at once may share one. */
  readonly #subdirectories = new Map<string, Promise<void>>();

  constructor(path: string) {
    this.path = path;
  }

  async write(path: string, pieces: AsyncIterable<Uint8Array>): Promise<void> {
    const target = join(this.path, path);
    await accessing("write a checkpoint's file", target, async () => {
      await this.#makeParents(path);
      await writeNewFile(target, pieces);
    });
  }

  async sync(): Promise<void> {
    const deepestFirst = [...this.#subdirectories.keys()].sort((a, b) => b.length - a.length);
    for (const subdirectory of deepestFirst) await syncDirectory(join(this.path, subdirectory));
    await syncDirectory(this.path);
  }

  async #makeParents(path: string): Promise<void> {
    const parent = dirname(path);
    if (parent === ".") return;
    const made = this.#subdirectories.get(parent) ?? this.#makeParent(parent);
    this.#subdirectories.set(parent, made);
    await made;
  }

  async #makeParent(parent: string): Promise<void> {
    await this.#makeParents(parent);
    await makeDirectory(join(this.path, parent), { existing: "refuse" });
  }
}
