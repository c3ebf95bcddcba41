import { open, readdir, rename, stat, truncate } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { describe, expect, test, vi } from "vitest";
import { pathIn, restore, runUid, save, savedRun, temporaryStore } from "../test/fixture.ts";
import { directoryName, settlingName } from "./directory-name.ts";
import { bytesFile, type FileSource } from "./file-source.ts";
import { FinishRefusedError, finishRun } from "./finish.ts";
import { healthy } from "./health.ts";
import { loadCheckpoint } from "./load.ts";
import { FencedError } from "./log/append.ts";
import { readLog } from "./log/read.ts";
import type { RestoreOutcome } from "./restore.ts";
import { SaveFailedError, type SaveRequest, saveCheckpoint } from "./save.ts";
import { chooseChunkBytes } from "./seal-file.ts";
import { DirectoryStore, openDirectoryStore } from "./store/directory-store.ts";
import { StorageUnavailableError } from "./store/store.ts";

const file = (path: string) => bytesFile(path, "opaque", new Uint8Array(1));
/** A file that must not be asked for its bytes. */
const unread = (path: string): FileSource => ({ ...file(path), chunks: () => expect.fail(`${path} was read`) });

describe("a save", () => {
  test("is in the log and loads as it was saved", async () => {
    const { store, saved } = await savedRun([10]);
    const [first] = saved;
    const digest = first?.manifest.digest ?? "";
    expect((await readLog(store)).state.checkpoints).toMatchObject([
      { digest, step: 10, attempt: 1, directory: "step-000000000010-a0001", bytes: first?.bytes, unhealthy: false },
    ]);
    const loaded = await loadCheckpoint(pathIn(store, first?.directory ?? ""), { digest });
    expect(loaded.manifest).toEqual(first?.manifest);
    expect(await loaded.json("state.json")).toEqual({ step: 10, epoch: 0, rng: [7, 10] });
    const kernel = (await loaded.tensors("model.safetensors")).tensors.get("dense/kernel");
    expect(new Float32Array(kernel?.bytes.buffer ?? new ArrayBuffer(0))[1]).toBe(Math.fround(10 + 1 / 256));
    await expect(loaded.json("other.json")).rejects.toThrow("names no such file");
    await expect(
      loadCheckpoint(pathIn(store, first?.directory ?? ""), { digest: `blake3:${"0".repeat(64)}` }),
    ).rejects.toThrow("wanted");
  });

  test("says its epoch wherever it says its step, for ever", async () => {
    const { store } = await savedRun([]);
    const { manifest, directory } = await save(store, 1, 10, { epoch: 2.5 });
    expect(manifest).toMatchObject({ step: 10, epoch: 2.5 });
    expect((await save(store, 1, 20)).manifest).not.toHaveProperty("epoch");
    await restore(store, 2);
    const { checkpoints } = (await readLog(store)).state;
    expect(checkpoints.map(({ step, epoch }) => [step, epoch])).toEqual([
      [10, 2.5],
      [20, undefined],
    ]);
    expect((await loadCheckpoint(pathIn(store, directory), { digest: manifest.digest })).manifest.epoch).toBe(2.5);
  });

  test("writes what it hashed, whatever the source does to its memory meanwhile", async () => {
    const { store } = await savedRun([]);
    const shared = new Uint8Array(100).fill(1);
    const restless: FileSource = {
      path: "model.bin",
      kind: "opaque",
      bytes: 200,
      async *chunks() {
        yield shared;
        yield shared.fill(2);
        shared.fill(3);
      },
    };
    const { manifest, directory } = await save(store, 1, 10, { files: [restless] });
    expect(manifest.files[0]?.bytes).toBe(200);
    await restore(store, 2);
    expect((await readLog(store)).state).toMatchObject({
      opened: { base: manifest.digest },
      checkpoints: [{ directory }],
    });
  });

  const refusals: { what: string; request: Partial<SaveRequest>; because: string }[] = [
    { what: "no files", request: { files: [] }, because: "a checkpoint has at least one file" },
    {
      what: "a name that climbs",
      request: { files: [file("../x")] },
      because: 'a name must be relative, without . or .. in it: "../x"',
    },
    { what: "one name twice", request: { files: [file("x"), file("x")] }, because: "a name may appear once" },
    {
      what: "too many files",
      request: { files: Array.from({ length: 10_001 }, (_, n) => file(`f${n}`)) },
      because: "a checkpoint has at most 10000 files",
    },
    {
      what: "more names than a manifest has room for, though they are few enough",
      request: {
        files: Array.from({ length: 10_000 }, (_, n) => unread(`${'"'.repeat(250)}/${'"'.repeat(250)}/${n}`)),
      },
      because:
        "a manifest has at most 8388608 bytes, and that of these 10000 files may have 12534876: save fewer files, or under shorter names",
    },
    {
      what: "JSON that no loader takes",
      request: { files: [{ ...unread("state.json"), kind: "json", bytes: 268_435_457 }] },
      because: "a file of JSON has at most 268435456 bytes, and state.json has 268435457",
    },
    { what: "another run", request: { runUid: "other" }, because: `the store is of run ${runUid}` },
    {
      what: "fewer bytes than announced",
      request: { files: [{ ...file("x"), bytes: 2 }] },
      because: "x was announced with 2 bytes: 1 came",
    },
    {
      what: "a value of a metric that is no number",
      request: { metrics: [{ name: "loss", value: "low" }] },
      because: "it must follow the schema",
    },
    {
      what: "a request that was withdrawn",
      request: { signal: AbortSignal.abort() },
      because: "This operation was aborted",
    },
    {
      what: "a source that fails",
      request: {
        files: [
          {
            ...file("x"),
            chunks: () => {
              throw new Error("the tensor was disposed");
            },
          },
        ],
      },
      because: "the tensor was disposed",
    },
  ];
  test.each(refusals)("of $what fails by name and leaves nothing", async ({ request, because }) => {
    const { store } = await savedRun([]);
    const failed = save(store, 1, 10, request);
    await expect(failed).rejects.toThrow(SaveFailedError);
    await expect(failed).rejects.toThrow("Cannot save step 10 of attempt 1 because");
    await expect(failed).rejects.toThrow(because);
    expect(await readdir(join(store.root, "data"))).toEqual([]);
    expect((await readLog(store)).state.checkpoints).toEqual([]);
  });

  test("of a step that this attempt has saved is that one, and writes nothing", async () => {
    const { store, saved } = await savedRun([10]);
    const before = await readLog(store);
    expect(await save(store, 1, 10, { metrics: [] })).toMatchObject({ manifest: saved[0]?.manifest });
    expect(await readLog(store)).toEqual(before);
    expect(await readdir(join(store.root, "data"))).toEqual([saved[0]?.directory]);
  });

  const brokenAppends = [
    { what: "could not be appended", stands: false },
    { what: "was appended and the reply lost", stands: true },
  ];
  test.each(brokenAppends)("whose commit $what is finished by the next save of that step", async ({ stands }) => {
    const { store } = await savedRun([10]);
    breakAppends(store, { stands });
    await expect(save(store, 1, 20)).rejects.toThrow("the volume answered EIO");
    expect((await readLog(store)).state.last).toBe(stands ? 3 : 2);
    mendAppends(store);
    const { manifest, directory } = await save(store, 1, 20);
    expect((await readLog(store)).state).toMatchObject({ last: 3, checkpoints: [{}, { digest: manifest.digest }] });
    expect(await readdir(join(store.root, "data"))).toEqual(["step-000000000010-a0001", directory]);
    expect(await restore(store, 2)).toMatchObject({ kind: "restored", restored: { resume: { step: 20 } } });
  });

  test("whose commit stands unsynced has it written anew before it counts (I3)", async () => {
    const { store } = await savedRun([10]);
    const failure = await failDirectorySync(join(store.root, "log"));
    await expect(save(store, 1, 20)).rejects.toThrow("the volume answered EIO");
    failure.mockRestore();
    const record = join(store.root, "log", "000000000003.json");
    const before = await stat(record);
    const { manifest } = await save(store, 1, 20);
    expect((await stat(record)).ino).not.toBe(before.ino);
    expect((await readLog(store)).state).toMatchObject({ last: 3, checkpoints: [{}, { digest: manifest.digest }] });
  });

  test("that is told of an error after its last rename leaves what another attempt may have adopted", async () => {
    const { store } = await savedRun([10]);
    let adopted: RestoreOutcome | null = null;
    const failure = await failDirectorySync(join(store.root, "data"), async () => {
      failure.mockRestore();
      adopted = await restore(await openDirectoryStore(store.root, { runUid }), 2);
    });
    await expect(save(store, 1, 20)).rejects.toThrow("the volume answered EIO");
    expect(adopted).toMatchObject({ kind: "restored", restored: { resume: { step: 20 } } });
    expect(await restore(store, 3)).toMatchObject({ kind: "restored", restored: { resume: { step: 20 } } });
  });

  test("that is told of an error after its last rename is finished by the next save of that step", async () => {
    const { store } = await savedRun([10]);
    const failure = await failDirectorySync(join(store.root, "data"));
    await expect(save(store, 1, 20)).rejects.toThrow("the volume answered EIO");
    failure.mockRestore();
    const left = await stat(pathIn(store, "step-000000000020-a0001"), { bigint: true });
    await save(store, 1, 20);
    const now = await stat(pathIn(store, "step-000000000020-a0001"), { bigint: true });
    expect(now.ino).toBe(left.ino);
    expect((await readLog(store)).state.checkpoints).toHaveLength(2);
  });

  test("that finds its directory uncommitted gives it its name anew before it commits it (I3)", async () => {
    const { store } = await savedRun([]);
    breakAppends(store, { stands: false });
    await expect(save(store, 1, 10)).rejects.toThrow(SaveFailedError);
    mendAppends(store);
    const directory = pathIn(store, "step-000000000010-a0001");
    const before = await stat(directory, { bigint: true });
    await save(store, 1, 10);
    expect((await stat(directory, { bigint: true })).ctimeNs).toBeGreaterThan(before.ctimeNs);
  });

  test("whose directory was being given its name anew when the process died loses nothing", async () => {
    const { store } = await savedRun([]);
    breakAppends(store, { stands: false });
    await expect(save(store, 1, 10)).rejects.toThrow(SaveFailedError);
    const data = join(store.root, "data");
    const name = directoryName(10, 1);
    await rename(join(data, name), join(data, settlingName(name, "0a")));
    const opened = await openDirectoryStore(store.root, { runUid });
    expect(await restore(opened, 2)).toMatchObject({ kind: "restored", restored: { resume: { step: 10 } } });
  });

  test("finishes no directory whose bytes do not match, and commits nothing", async () => {
    const { store } = await savedRun([]);
    breakAppends(store, { stands: false });
    await expect(save(store, 1, 10)).rejects.toThrow(SaveFailedError);
    mendAppends(store);
    await truncate(pathIn(store, "step-000000000010-a0001", "state.json"), 1);
    await expect(save(store, 1, 10)).rejects.toThrow(
      "Cannot save step 10 of attempt 1 because an earlier save left step-000000000010-a0001 in its place",
    );
    expect((await readLog(store)).state.checkpoints).toEqual([]);
  });

  test("of a fenced attempt says so, and its bytes are swept by the next restore", async () => {
    const { store } = await savedRun([10]);
    await restore(store, 2);
    await expect(save(store, 1, 20)).rejects.toThrow(FencedError);
    await restore(store, 3);
    expect(await readdir(join(store.root, "data"))).toEqual(["step-000000000010-a0001"]);
  });

  test("of an attempt that never opened is refused", async () => {
    const store = await temporaryStore();
    await expect(save(store, 1, 10)).rejects.toThrow("because no attempt has opened the log");
  });

  test("records that tensors are not finite", async () => {
    const { store } = await savedRun([]);
    const health = { ...healthy, nonFinite: ["w"], nonFiniteTensors: 1, unexpected: ["w"], unexpectedTensors: 1 };
    await save(store, 1, 10, { health });
    expect((await readLog(store)).state.checkpoints).toMatchObject([{ unhealthy: true }]);
  });

  test("asks for its health once, when every file has been read", async () => {
    const { store } = await savedRun([]);
    const asked: string[] = [];
    const { manifest } = await saveCheckpoint(store, {
      ...{ runUid, attempt: 1, step: 10, parent: null, metrics: [], producer: { name: "test", version: "1.0.0" } },
      files: [{ ...file("x"), chunks: () => Readable.from([new Uint8Array(1)]).on("end", () => asked.push("file")) }],
      get health() {
        asked.push("health");
        return healthy;
      },
    });
    expect(manifest.health).toEqual(healthy);
    expect(asked).toEqual(["file", "health"]);
  });

  test("uses larger chunks where 8 MiB would be too many for a manifest", () => {
    const gibibyte = 2 ** 30;
    expect(chooseChunkBytes([100 * gibibyte])).toBe(2 ** 23);
    expect(chooseChunkBytes([100 * gibibyte, 100 * gibibyte])).toBe(2 ** 24);
    expect(chooseChunkBytes(Array.from({ length: 8 }, () => 200 * gibibyte))).toBe(2 ** 27);
  });
});

describe("finishing", () => {
  test("appends done once, for a checkpoint that the log has", async () => {
    const { store, saved } = await savedRun([10]);
    const manifest = saved[0]?.manifest.digest ?? "";
    await finishRun(store, { attempt: 1, manifest });
    await finishRun(store, { attempt: 1, manifest });
    expect((await readLog(store)).state).toMatchObject({ last: 3, done: { attempt: 1, manifest } });
    const unknown = `blake3:${"0".repeat(64)}`;
    await expect(finishRun(store, { attempt: 1, manifest: unknown })).rejects.toThrow("is no checkpoint of this log");
    await restore(store, 2);
    await expect(finishRun(store, { attempt: 1, manifest })).rejects.toThrow(FencedError);
  });

  test("reads the final checkpoint back first, and takes none that does not match (I9)", async () => {
    const { store, saved } = await savedRun([10]);
    await truncate(pathIn(store, "step-000000000010-a0001", "state.json"), 1);
    const finished = finishRun(store, { attempt: 1, manifest: saved[0]?.manifest.digest ?? "" });
    await expect(finished).rejects.toThrow(FinishRefusedError);
    await expect(finished).rejects.toThrow("because it must verify");
    expect((await readLog(store)).state.done).toBeNull();
  });
});

/** From now on nothing can be made durable in this directory, whatever is done in sight of it, and `meanwhile`. */
async function failDirectorySync(directory: string, meanwhile = async () => {}) {
  const handle = await open(directory);
  const { ino } = await handle.stat();
  const prototype: typeof handle = Object.getPrototypeOf(handle);
  const { sync } = prototype;
  await handle.close();
  return vi.spyOn(prototype, "sync").mockImplementation(async function (this: typeof handle) {
    if ((await this.stat()).ino !== ino) return sync.call(this);
    await meanwhile();
    throw Object.assign(new Error("EIO: i/o error, fsync"), { code: "EIO" });
  });
}

/** From now on the log of this store fails as it is appended to, before or after the record `stands`. */
function breakAppends(store: DirectoryStore, { stands }: { stands: boolean }): void {
  store.createRecord = async (number, bytes) => {
    if (stands) await DirectoryStore.prototype.createRecord.call(store, number, bytes);
    throw new StorageUnavailableError("Cannot append to the log because the volume answered EIO");
  };
}

function mendAppends(store: DirectoryStore): void {
  store.createRecord = DirectoryStore.prototype.createRecord.bind(store);
}
