import { AsyncLocalStorage } from "node:async_hooks";
import crypto from "node:crypto";
import { syncBuiltinESMExports } from "node:module";
import { setImmediate as nextLoop } from "node:timers/promises";
import type { Store } from "../../src/store/store.ts";
import { SharedDisk } from "./shared-disk.ts";

export const runUid = "0b6f1c1e-7f3c-4c52-9d2e-3f1f3f0d9a11";

/** What one process of the model does with its view of the disk; what it returns is what it tells the outside. */
export type Program = Readonly<{
  name: string;
  run: (store: Store, process: Running) => Promise<string>;
  /** How the process reaches the disk; plainly where absent. */
  through?: (store: Store) => Store;
}>;

/** What a program may ask of the model beside its store. */
export type Running = Readonly<{
  disk: SharedDisk;
  /** Sleeps until another process has told something that begins like that. */
  waitFor: (told: string) => Promise<void>;
  /** Lets the others act, then goes on. */
  turn: (act: string) => Promise<void>;
}>;

type Slot = {
  readonly program: Program;
  readonly index: number;
  /** What it is about to do, and how it is let; null while it runs or once it has ended. */
  waiting: { act: string; mayGo: () => boolean; go: () => void } | null;
  told: string | null;
  /** All that it did and saw so far: what it will do next depends on nothing else. */
  history: string;
  ids: number;
};

const current = new AsyncLocalStorage<Slot>();

/** Ids are unique and count per process, so that the same choices give the same records. */
function takeIds(): void {
  crypto.randomUUID = () => {
    const slot = current.getStore();
    if (slot === undefined) return "00000000-0000-4000-8000-000000000000";
    slot.ids += 1;
    return `00000000-0000-4000-${String(8000 + slot.index)}-${String(slot.ids).padStart(12, "0")}`;
  };
  syncBuiltinESMExports();
}

/** Programs of ours that run at once on one disk, of which one at a time does its next act: whichever is chosen. */
export class Processes {
  readonly disk: SharedDisk;
  readonly #slots: Slot[];

  constructor(disk: SharedDisk, programs: readonly Program[]) {
    takeIds();
    this.disk = new SharedDisk(disk);
    this.#slots = programs.map((program, index) => {
      return { program, index, waiting: null, told: null, history: "", ids: 0 };
    });
    for (const slot of this.#slots) current.run(slot, () => this.#start(slot));
  }

  /** What each process has told, in the order of the cast; null for one that has not ended. */
  get told(): readonly (string | null)[] {
    return this.#slots.map(({ told }) => told);
  }

  /** Indices of the processes that can go on. */
  get ready(): number[] {
    return this.#slots.flatMap(({ waiting }, index) => (waiting?.mayGo() === true ? [index] : []));
  }

  /** What tells this moment from any other: the disk, and where each process is. */
  get key(): string {
    const places = this.#slots.map(({ history, waiting, told }) => `${history}|${waiting?.act}|${told}`);
    return [this.disk.key, ...places].join("\n");
  }

  /** Lets one process do its next act, and returns when all of them wait again. */
  async step(index: number): Promise<string> {
    const slot = this.#slots[index];
    const waiting = slot?.waiting;
    if (slot == null || waiting == null) throw new Error(`Cannot let process ${index} go on because it does not wait`);
    slot.waiting = null;
    waiting.go();
    await this.settle();
    return `${slot.program.name}: ${waiting.act}`;
  }

  /** Waits until every process has come to its next act or its end. */
  async settle(): Promise<void> {
    for (let loops = 0; this.#slots.some(({ waiting, told }) => waiting === null && told === null); loops += 1) {
      if (loops > 10_000) throw new Error("Cannot go on because a process neither acts nor ends");
      await nextLoop();
    }
  }

  #start(slot: Slot): void {
    const { program } = slot;
    const turn = (act: string) => this.#wait(slot, act, () => true);
    const waitFor = (told: string) =>
      this.#wait(slot, `wait for ${told}`, () => this.#slots.some((other) => other.told?.startsWith(told) === true));
    const store = watched(this.disk.view(runUid, turn), slot);
    const told = program.run(program.through?.(store) ?? store, { disk: this.disk, waitFor, turn });
    told.then(
      (words) => {
        slot.told = words;
      },
      (error: unknown) => {
        slot.told = `failed ${error instanceof Error ? `${error.name}: ${error.message}` : String(error)}`;
      },
    );
  }

  #wait(slot: Slot, act: string, mayGo: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      slot.waiting = { act, mayGo, go: resolve };
    });
  }
}

/** Writes down all that a process learns from its store. */
function watched(store: Store, slot: Slot): Store {
  const noted = <T>(name: string, answer: T): T => {
    slot.history = digest(`${slot.history} ${name} ${JSON.stringify(answer, bytesAsText)}`);
    return answer;
  };
  return {
    ...store,
    recordNumbers: async () => noted("numbers", await store.recordNumbers()),
    readRecord: async (number, limit) => noted("record", await store.readRecord(number, limit)),
    createRecord: async (number, bytes) => noted(`create ${number}`, await store.createRecord(number, bytes)),
    names: async () => noted("names", await store.names()),
    remove: async (name) => {
      await store.remove(name);
      noted("removed", name);
    },
    removeRecords: async (numbers) => {
      await store.removeRecords(numbers);
      noted("pruned", numbers);
    },
    begin: async (place) => {
      const writer = await store.begin(place);
      return { ...writer, publish: async (manifest) => noted("published", await writer.publish(manifest)) };
    },
    checkpoint: (directory) => {
      const checkpoint = store.checkpoint(directory);
      return { ...checkpoint, entries: async (limit) => noted("entries", await checkpoint.entries(limit)) };
    },
  };
}

function bytesAsText(_: string, value: unknown): unknown {
  return value instanceof Uint8Array ? Buffer.from(value).toString("latin1") : value;
}

function digest(text: string): string {
  return crypto.createHash("sha1").update(text).digest("base64");
}
