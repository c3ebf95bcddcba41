import { directoryName } from "../../src/directory-name.ts";
import { manifestName } from "../../src/file-path.ts";
import type { NumberedRecord } from "../../src/log/record.ts";
import { parseRecord } from "../../src/log/record.ts";
import { memoryFile } from "../../src/safetensors/read.ts";
import type { AnnouncedOpen, CheckpointWriter, Store, StoredCheckpoint, StoredEntry } from "../../src/store/store.ts";

/** The files of one checkpoint by name. */
type Files = ReadonlyMap<string, Uint8Array>;

/** What all processes of the model share: everything that is durable. A copy of it is cheap, for values never change. */
export class SharedDisk {
  readonly records: Map<number, Uint8Array>;
  readonly announced: Set<string>;
  readonly data: Map<string, Files>;

  constructor(from?: SharedDisk) {
    this.records = new Map(from?.records);
    this.announced = new Set(from?.announced);
    this.data = new Map(from?.data);
  }

  /** The whole log, read without any of the program's own shortcuts. */
  get log(): NumberedRecord[] {
    const announced = this.#announcedOpens();
    return [...this.records]
      .sort(([a], [b]) => a - b)
      .map(([number, bytes]) => {
        const known = parsed.get(bytes) ?? parseRecord(number, bytes);
        parsed.set(bytes, known);
        const highest = Math.max(0, ...announced.filter((open) => open.number === number).map((open) => open.attempt));
        return "damaged" in known && highest > 0 ? { ...known, announced: highest } : known;
      });
  }

  /** What tells this disk from another one. */
  get key(): string {
    const records = [...this.records].map(([number, bytes]) => `${number}:${identityOf(bytes)}`);
    const data = [...this.data].map(([name, files]) => `${name}:${identityOf(files)}`);
    return [...records.sort(), ...[...this.announced].sort(), ...data.sort()].join(" ");
  }

  /** Announcements as a store lists them. */
  #announcedOpens(): AnnouncedOpen[] {
    return [...this.announced].map((entry) => {
      const [number = 0, attempt = 0] = entry.split("/").map(Number);
      return { number, attempt };
    });
  }

  /**
   * A process's own view, to be given to the program itself. `turn` is awaited before each act that another process could
   * notice or be noticed by, and may take as long as it likes; reading a record goes with the listing that named it, and
   * reading a checkpoint's files with the listing of its names.
   */
  view(runUid: string, turn: (act: string) => Promise<void>): Store {
    const { records, announced, data } = this;
    return {
      tier: "Volume",
      runUid,
      recordNumbers: async () => {
        await turn("list the log");
        return [...records.keys()].sort((a, b) => a - b);
      },
      readRecord: async (number) => records.get(number) ?? null,
      createRecord: async (number, bytes) => {
        await turn(`create record ${number}`);
        if (records.has(number)) return "taken";
        records.set(number, Uint8Array.from(bytes));
        return "created";
      },
      rewriteRecord: async () => undefined,
      announceOpen: async ({ number, attempt }) => void announced.add(`${number}/${attempt}`),
      announcedOpens: async () => this.#announcedOpens(),
      removeRecords: async (ascending) => {
        for (const number of ascending) {
          await turn(`prune record ${number}`);
          records.delete(number);
        }
      },
      names: async () => {
        await turn("list the checkpoints");
        return [...data.keys()].sort();
      },
      checkpoint: (directory) => storedCheckpoint(directory, { data, turn }),
      begin: async ({ step, attempt }) => writer(directoryName(step, attempt), { data, turn }),
      settle: async () => undefined,
      point: async () => undefined,
      removeTemporaries: async () => undefined,
      remove: async (name) => {
        await turn(`remove ${name}`);
        data.delete(name);
      },
    };
  }
}

type Shared = Readonly<{ data: Map<string, Files>; turn: (act: string) => Promise<void> }>;

function writer(final: string, { data, turn }: Shared): CheckpointWriter {
  const files = new Map<string, Uint8Array>();
  return {
    write: async (path, pieces) => {
      const written: Uint8Array[] = [];
      for await (const piece of pieces) written.push(Uint8Array.from(piece));
      files.set(path, Buffer.concat(written));
    },
    publish: async (manifest) => {
      await turn(`publish ${final}`);
      data.set(final, new Map([...files, [manifestName, Uint8Array.from(manifest)]]));
    },
    abandon: async () => undefined,
  };
}

function storedCheckpoint(directory: string, { data, turn }: Shared): StoredCheckpoint {
  return {
    location: directory,
    entries: async () => {
      await turn(`look at ${directory}`);
      const files = data.get(directory);
      return files === undefined ? null : [...files.keys()].map((path): StoredEntry => ({ path, kind: "file" }));
    },
    open: async (path) => {
      const bytes = data.get(directory)?.get(path);
      return bytes === undefined ? null : memoryFile(bytes);
    },
  };
}

const parsed = new WeakMap<Uint8Array, NumberedRecord>();
const identities = new WeakMap<object, string>();

/** A text that is equal for equal bytes, remembered per value. */
function identityOf(value: Uint8Array | Files): string {
  const known = identities.get(value);
  if (known !== undefined) return known;
  const identity =
    value instanceof Uint8Array
      ? Buffer.from(value).toString("latin1")
      : [...value].map(([path, bytes]) => `${path}=${identityOf(bytes)}`).join();
  const short = shortOf(identity);
  identities.set(value, short);
  return short;
}

const numbers = new Map<string, string>();

function shortOf(text: string): string {
  const known = numbers.get(text) ?? String(numbers.size);
  numbers.set(text, known);
  return known;
}
