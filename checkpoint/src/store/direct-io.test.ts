import { open, readFile, stat, statfs } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { save, savedRun, temporaryDirectory } from "../../test/fixture.ts";
import { LentBuffers } from "../buffer-pool.ts";
import { bytesFile } from "../file-source.ts";
import { verifyCheckpoint } from "../verify.ts";
import { orRefused } from "./direct-io.ts";
import { NewFileWriter } from "./direct-io-writer.ts";
import { openPlain } from "./directory-files.ts";
import { writeNewFile } from "./file-system.ts";

const mebibyte = 1024 * 1024;
/** File systems on a block device, where direct reads are counted as such: ext4, XFS. */
const onDevice = [0xef53, 0x58465342].includes((await statfs(tmpdir())).type);

/** Bytes of which no two pages are equal. */
function pattern(bytes: number): Uint8Array {
  return new Uint8Array(bytes).map((_, index) => (index ^ (index >> 12)) * 31 + (index >> 20));
}

/** The bytes in the pool's memory, piece by piece, as a save gives them to its writer. */
async function* pooled(content: Uint8Array): AsyncGenerator<Uint8Array> {
  await using buffers = new LentBuffers(3);
  for (let at = 0; at < content.byteLength; ) {
    const buffer = await buffers.next();
    const part = content.subarray(at, at + buffer.byteLength);
    buffer.set(part);
    at += part.byteLength;
    yield buffer.subarray(0, part.byteLength);
    // What nobody holds may be overwritten: a writer that still needs it would write this.
    if (buffer === (await buffers.next())) buffer.fill(0xff);
  }
}

const sizes = [0, 1, 4096, mebibyte - 1, mebibyte, mebibyte + 1, 8 * mebibyte, 8 * mebibyte + 4097, 21 * mebibyte + 5];

describe("a new file", () => {
  test.each(sizes)("of %i bytes in the pool's memory holds them all", async (bytes) => {
    const path = join(await temporaryDirectory(), "file");
    const content = pattern(bytes);
    await writeNewFile(path, pooled(content));
    expect((await readFile(path)).equals(content)).toBe(true);
  });

  test("takes pieces of any memory and any size", async () => {
    const path = join(await temporaryDirectory(), "file");
    const [ordinary, aligned] = [pattern(2 * mebibyte + 1), pattern(9 * mebibyte)];
    await writeNewFile(
      path,
      (async function* () {
        yield ordinary.subarray(0, 4096);
        yield* pooled(aligned);
        yield ordinary.subarray(4096);
        yield* pooled(aligned);
      })(),
    );
    const expected = Buffer.concat([ordinary.subarray(0, 4096), aligned, ordinary.subarray(4096), aligned]);
    expect((await readFile(path)).equals(expected)).toBe(true);
  });

  test("is not closed, and its memory not given back, before a failed write's neighbours have ended", async () => {
    const path = join(await temporaryDirectory(), "file");
    const readOnly = await open(path, "wx").then(async (created) => {
      await created.close();
      return open(path, "r");
    });
    onTestFinished(() => readOnly.close());
    const writing = async () => {
      await using writer = new NewFileWriter("/nowhere", readOnly);
      for await (const piece of pooled(pattern(20 * mebibyte))) await writer.add(piece);
      await writer.end();
    };
    await expect(writing()).rejects.toThrow(/ENOENT|EBADF/);
  });
});

describe("a file that is read from its device", () => {
  const places = [
    [0, 8 * mebibyte],
    [8 * mebibyte, 8 * mebibyte],
    [4096, 4096],
    [100, 4096],
    [0, 1000],
    [16 * mebibyte, 8 * mebibyte],
    [24 * mebibyte, 4096],
  ];
  test.each(places)("gives at %i what is there, %i bytes or up to its end", async (position, bytes) => {
    const path = join(await temporaryDirectory(), "file");
    const content = pattern(21 * mebibyte + 5);
    await writeNewFile(path, [content]);
    await using buffers = new LentBuffers(1);
    const target = (await buffers.next()).subarray(0, bytes);
    await using file = await openPlain(path, "Device");
    const read = await file?.read(target, position);
    const expected = content.subarray(position, position + bytes);
    expect(read).toBe(expected.byteLength);
    expect(Buffer.from(target.subarray(0, read)).equals(expected)).toBe(true);
  });

  test("says when it could not be", async () => {
    const path = join(await temporaryDirectory(), "file");
    await writeNewFile(path, [pattern(10_000)]);
    await using file = await openPlain(path, "Device");
    expect(file?.cached).toBeUndefined();
    await file?.read(new Uint8Array(4096), 0);
    expect(file?.cached).toBe("it was not read in whole pages");
  });
});

describe("verification", () => {
  test.skipIf(!onDevice)("reads every byte from the device, also when memory has them", async () => {
    const { store } = await savedRun([]);
    const content = pattern(20 * mebibyte + 77);
    const { directory, manifest } = await save(store, 1, 10, { files: [bytesFile("model.bin", "opaque", content)] });
    await readFile(join(store.root, "data", directory, "model.bin"));
    const before = await readFromDevices();
    const verdict = await verifyCheckpoint(store, { digest: manifest.digest, directory });
    expect(verdict).toMatchObject({ ok: true, rereads: 0 });
    expect("cached" in verdict).toBe(false);
    expect((await readFromDevices()) - before).toBeGreaterThanOrEqual(content.byteLength);
  });

  // The last one: what a device refused once is not tried again in this process.
  test("goes on through the page cache where direct access is refused, says so once, and notes it in its verdict", async () => {
    const { store } = await savedRun([10]);
    const warnings: string[] = [];
    const listen = (warning: Error) => void warnings.push(warning.message);
    process.on("warning", listen);
    onTestFinished(() => void process.off("warning", listen));
    const { dev } = await stat(store.root);
    for (const _ of ["once", "twice"]) {
      const refusal = Object.assign(new Error("EINVAL: invalid argument"), { code: "EINVAL" });
      expect(await orRefused(dev, () => Promise.reject(refusal))).toBeNull();
    }
    const content = pattern(9 * mebibyte + 1);
    const { directory, manifest } = await save(store, 1, 20, { files: [bytesFile("model.bin", "opaque", content)] });
    const verdict = await verifyCheckpoint(store, { digest: manifest.digest, directory });
    expect(verdict).toMatchObject({ ok: true, cached: "its file system takes no direct access (EINVAL)" });
    expect(warnings.filter((text) => text.includes("direct access"))).toHaveLength(1);
  });
});

/** What this process made block devices read so far, in bytes. */
async function readFromDevices(): Promise<number> {
  return Number(/^read_bytes: (\d+)$/m.exec(await readFile("/proc/self/io", "utf8"))?.[1]);
}
