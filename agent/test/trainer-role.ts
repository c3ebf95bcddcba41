import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Metric } from "@trainingrun/checkpoint/contract/digest.ts";
import type { TrainerRecord } from "@trainingrun/checkpoint/contract/termination.ts";
import { directoryName } from "@trainingrun/checkpoint/directory-name.ts";
import { type FileSource, jsonFile } from "@trainingrun/checkpoint/file-source.ts";
import { readLog } from "@trainingrun/checkpoint/log/read.ts";
import type { RunState } from "@trainingrun/checkpoint/log/state.ts";
import { type SavedCheckpoint, saveCheckpoint } from "@trainingrun/checkpoint/save.ts";
import { type DirectoryStore, openDirectoryStore } from "@trainingrun/checkpoint/store/directory-store.ts";

/** The volume as the trainer's process sees it: what the tests do in its place. */
export class TrainerRole {
  readonly #root: string;
  readonly #control: string;
  readonly #attempt: number;
  #store: DirectoryStore | null = null;

  constructor(variables: Readonly<Record<string, string>>) {
    this.#root = String(variables.TRAININGRUN_CHECKPOINTS);
    this.#control = String(variables.TRAININGRUN_CONTROL);
    this.#attempt = Number(variables.TRAININGRUN_ATTEMPT);
  }

  /** Saves a checkpoint of one small file and commits it. */
  async save(step: number, metrics: readonly Metric[] = [], bytes = 1000): Promise<SavedCheckpoint> {
    return this.#save(step, metrics, [jsonFile("state.json", { step, filling: "x".repeat(bytes) })]);
  }

  /** Saves a checkpoint of one large file, of so many bytes that no two steps share. */
  saveLarge(step: number, bytes: number): Promise<SavedCheckpoint> {
    const piece = new Uint8Array(1 << 20).map((_, index) => (index * 31 + step * 7) % 251);
    async function* chunks() {
      for (let left = bytes; left > 0; left -= piece.byteLength) {
        yield piece.subarray(0, Math.min(left, piece.byteLength));
      }
    }
    return this.#save(step, [], [{ path: "weights.bin", kind: "opaque", bytes, chunks }]);
  }

  async #save(step: number, metrics: readonly Metric[], files: readonly FileSource[]): Promise<SavedCheckpoint> {
    return saveCheckpoint(await this.#open(), {
      runUid: "run-uid",
      attempt: this.#attempt,
      step,
      parent: null,
      files: [...files],
      metrics,
      health: { nonFinite: [], nonFiniteTensors: 0, unexpected: [], unexpectedTensors: 0 },
      producer: { name: "test", version: "1" },
    });
  }

  /** Saves a checkpoint of which a bit flips just before its commit: no reader can have seen it whole. */
  async saveDamaged(step: number): Promise<SavedCheckpoint> {
    const store = await this.#open();
    const begin = store.begin.bind(store);
    store.begin = async (place) => {
      store.begin = begin;
      const writer = await begin(place);
      const publish = writer.publish.bind(writer);
      writer.publish = async (manifest) => {
        await publish(manifest);
        this.#flipBit(directoryName(step, this.#attempt));
      };
      return writer;
    };
    return this.save(step);
  }

  /** Flips one bit in the middle of a saved checkpoint's file, as a failing disk would. */
  damage(saved: SavedCheckpoint): void {
    this.#flipBit(saved.directory);
  }

  #flipBit(directory: string): void {
    const path = join(this.#root, "data", directory, "state.json");
    const bytes = readFileSync(path);
    bytes.writeUInt8(bytes.readUInt8(500) ^ 1, 500);
    writeFileSync(path, bytes);
  }

  /** Leaves a record in the control directory, as the SDK does before it exits. */
  leave(record: TrainerRecord & { kind: "done" | "preempted" }): void {
    this.write(record.kind, JSON.stringify(record));
  }

  /** Writes a control file by temporary file and rename. */
  write(name: string, text: string): void {
    writeFileSync(join(this.#control, `${name}.new`), text);
    renameSync(join(this.#control, `${name}.new`), join(this.#control, name));
  }

  /** The fold of the log as it is now. */
  async state(): Promise<RunState> {
    return (await readLog(await this.#open())).state;
  }

  async store(): Promise<DirectoryStore> {
    return this.#open();
  }

  async #open(): Promise<DirectoryStore> {
    this.#store ??= await openDirectoryStore(this.#root, { runUid: "run-uid" });
    return this.#store;
  }
}
